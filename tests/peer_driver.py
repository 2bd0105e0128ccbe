"""The process of tests/peer.py: runs the command for each line of arguments, given as JSON."""

import json
import multiprocessing
import os
import sys
import traceback
from typing import Any

PRELOADED = ["torch", "nnunetv2.inference.predict_from_raw_data", "totalsegmentator.nnunet"]


def main() -> None:
    """Reads arguments from standard input and answers each line with `done` or an error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    multiprocessing.get_context = lambda _="spawn": server  # type: ignore[assignment]

    from totalsegmentator import python_api
    from totalsegmentator.bin.TotalSegmentator import main as command

    # In 2.18 it returns None for the string "cpu", so task teeth, the only one that names a
    # crop_model, ends with a TypeError wherever there is no GPU.
    python_api.convert_device_to_string = _device_name
    for line in sys.stdin:
        sys.argv = ["TotalSegmentator", *json.loads(line)]
        try:
            command()
            answer = "done"
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            answer = f"failed: {type(error).__name__}"
        sys.stderr.flush()
        answers.write(answer + "\n")
        answers.flush()


def _device_name(device: Any) -> str:
    kind: str = getattr(device, "type", device)
    return "gpu" if kind == "cuda" else kind


if __name__ == "__main__":
    main()

"""Seconds from process start to the first operator, against the SDK imported the usual way.

    python -m benchmarks.startup

Ours is the whole application on an empty folder: it ends in its first operator, which finds no
study. The peer imports the base classes from `monai.deploy.core` and does nothing with them.
Both are run in turn, after one run each that is not counted.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 5
NO_STUDY = 65
PEER = [sys.executable, "-c", "from monai.deploy.core import Application, Operator"]


def main() -> None:
    """Measures and prints both, with the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        ours = [sys.executable, "-m", "app", "-i", str(source), "-o", f"{folder}/out"]
        pairs = [(_seconds(ours, NO_STUDY), _seconds(PEER, 0)) for _ in range(RUNS + 1)][1:]
    ours_median, peer_median = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{RUNS} pairs, median seconds")
    print(f"  application to the end of its first operator   {ours_median:6.2f}")
    print(f"  import monai.deploy.core                       {peer_median:6.2f}")
    print(f"  ratio                                          {peer_median / ours_median:6.1f}")


def _seconds(command: list[str], expected_status: int) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  our own
    seconds = time.perf_counter() - start
    if done.returncode != expected_status:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return seconds


if __name__ == "__main__":
    main()

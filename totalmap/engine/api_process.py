"""The process in which TotalSegmentator's python API runs. `totalmap.engine.api` starts it.

It is run as a file and imports nothing of ours. What it does to the environment, to threads and to
nnU-Net ends with it.

    api_process.py FOLDER ARGUMENTS < image.nii > labels.npy

FOLDER is for TotalSegmentator's files, ARGUMENTS are those of `totalsegmentator` as JSON.
"""

import io
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Segments the image on standard input and writes the labels, (x, y, z) uint8."""
    folder, arguments = Path(sys.argv[1]), json.loads(sys.argv[2])
    labels_out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what TotalSegmentator prints is no label
    sys.addaudithook(_forbid_network)

    import nibabel
    import numpy as np
    from totalsegmentator.python_api import totalsegmentator

    image = nibabel.Nifti1Image.from_bytes(sys.stdin.buffer.read())
    # Without an output it would look everywhere where there is nothing to look around; the command,
    # which has one, finds nothing.
    result = totalsegmentator(
        image, folder / "labels.nii.gz", ml=True, skip_saving=True, quiet=True, **arguments
    )
    packed = io.BytesIO()  # a pipe has no position, which numpy asks for
    np.save(packed, np.asanyarray(result.dataobj).astype(np.uint8))
    with labels_out:
        labels_out.write(packed.getbuffer())


def _forbid_network(event: str, values: tuple[Any, ...]) -> None:
    is_local = event == "socket.connect" and values[0].family == socket.AF_UNIX
    if event in ("socket.connect", "socket.getaddrinfo") and not is_local:
        raise PermissionError("TotalSegmentator wanted to use the network")


if __name__ == "__main__":
    main()

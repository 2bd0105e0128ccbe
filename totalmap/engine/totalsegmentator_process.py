"""Runs TotalSegmentator's python API in a process of its own, for totalsegmentator_api.py.

It is run as a file and imports no module of TotalMAP. Its changes to the environment, to threads
and to nnU-Net end with the process.

    totalsegmentator_process.py FOLDER ARGUMENTS GLOBALS < image.nii > labels.npy

FOLDER is TotalSegmentator's home folder, with a folder `weights` in it. ARGUMENTS are those of
`totalsegmentator`, as JSON. GLOBALS are the names that checkpoints may contain beside tensors
(totalmap/engine/checkpoints.py), as JSON.
"""

import io
import json
import os
import re
import socket
import sys
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any


def main() -> None:
    """Segments the image on standard input and writes the labels, (x, y, z) uint8."""
    folder, arguments = Path(sys.argv[1]), json.loads(sys.argv[2])
    labels_out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # TotalSegmentator prints to stdout
    sys.addaudithook(_forbid_network)
    _allow(json.loads(sys.argv[3]))

    import nibabel
    import numpy as np
    from totalsegmentator.python_api import totalsegmentator

    _register_trainers(folder / "weights")
    image = nibabel.Nifti1Image.from_bytes(sys.stdin.buffer.read())
    # Without an output path it would search the whole volume if the rough task finds nothing; the
    # command, which has an output path, returns an empty result.
    try:
        result = totalsegmentator(
            image, folder / "labels.nii.gz", ml=True, skip_saving=True, quiet=True, **arguments
        )
    except UnpicklingError as error:  # its text advises to disable the protection
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = named[1] if named else "something else"
        sys.exit(f"a checkpoint names {what}, which could run code")
    packed = io.BytesIO()  # numpy needs the position, which a pipe does not have
    np.save(packed, np.asanyarray(result.dataobj).astype(np.uint8))
    with labels_out:
        labels_out.write(packed.getbuffer())


def _allow(names: dict[str, str]) -> None:
    """Lets PyTorch read the names that checkpoints may contain.

    Args:
        names: Names in checkpoints, each with its location in this process.
    """
    import torch

    places = [(place.rpartition("."), name) for name, place in names.items()]
    torch.serialization.add_safe_globals(
        [(getattr(import_module(module), part), name) for (module, _, part), name in places]
    )


def _register_trainers(weights: Path) -> None:
    """Imports only the trainers that the weights name.

    nnU-Net imports all of its trainers to find one by its name. One of them needs timm, which needs
    torchvision. Neither is installed, since no supported network uses them.

    Args:
        weights: Folder with dataset folders, each with folders named trainer__plans__configuration.
    """
    import nnunetv2
    from totalsegmentator.nnunet import custom_trainers

    package = Path(nnunetv2.__file__).parent
    for name in {folder.name.partition("__")[0] for folder in weights.glob("*/*__*__*")}:
        for path in (package / "training" / "nnUNetTrainer").rglob("*.py"):
            if name not in custom_trainers and f"class {name}(" in path.read_text(encoding="utf-8"):
                parts = path.relative_to(package.parent).with_suffix("").parts
                custom_trainers[name] = getattr(import_module(".".join(parts)), name)


def _forbid_network(event: str, values: tuple[Any, ...]) -> None:
    is_local = event == "socket.connect" and values[0].family == socket.AF_UNIX
    if event in ("socket.connect", "socket.getaddrinfo") and not is_local:
        raise PermissionError("TotalSegmentator wanted to use the network")


if __name__ == "__main__":
    main()

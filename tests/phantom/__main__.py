"""Writes a demonstration study: `python -m tests.phantom OUT_FOLDER`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .study import write_study


def main() -> None:
    """Parses the arguments and writes the study."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.phantom", description="Writes a synthetic CT study as DICOM files."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="chooses the body (default: 0)")
    parser.add_argument("--slices", type=int, default=160, help="slices of 3 mm (default: 160)")
    parser.add_argument("--size", type=int, default=256, help="rows and columns (default: 256)")
    arguments = parser.parse_args()
    study = write_study(
        arguments.folder, arguments.seed, size=arguments.size, n_slices=arguments.slices
    )
    sys.stdout.write(f"{study.folder}: localizer, three CT series and a dose report\n")


if __name__ == "__main__":
    main()

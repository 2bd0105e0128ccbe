"""Prepares a result for the viewer in the browser; the gateway runs it as a process of its own.

    python -m app.prepare_view SOURCE FOLDER SEG...

SOURCE is a folder with the series that the SEGs were made from, and FOLDER an existing folder for
the files of `totalmap.writers.viewer_data`. If it fails, `failed.json` there says why.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from app.foreign_errors import foreign_errors_translated
from totalmap import log
from totalmap.dicom.study import read_study
from totalmap.errors import ExitStatus, TotalMapError
from totalmap.existing_seg import read_seg_headers, source_of
from totalmap.settings import GapPolicy, GeometrySection
from totalmap.viewer_files import FAILED
from totalmap.writers.viewer_data import write_viewer_data

# The result exists, so its gaps were accepted.
_POLICY = GeometrySection(gaps=GapPolicy.FILL, max_gap_mm=1000.0)


def prepare_view(source: Path, folder: Path, segs: Sequence[Path]) -> None:
    """Writes what the viewer loads into a folder.

    Raises:
        TotalMapError: The source or a SEG can't be read, or the folder can't be written.
    """
    with foreign_errors_translated():
        objects = read_seg_headers(segs)
        selection = source_of(objects, read_study(source), _POLICY)
        write_viewer_data(selection, objects, folder)


def main(arguments: Sequence[str]) -> int:
    """Prepares a view; returns the exit status."""
    log.configure("json")
    source, folder, *segs = map(Path, arguments)
    try:
        prepare_view(source, folder, segs)
    except TotalMapError as error:
        log.get_logger().error("view_failed", kind=type(error).__name__, message=str(error))
        partial = folder / f"{FAILED}.part"
        partial.write_text(json.dumps({"reason": str(error)}), "utf-8")
        partial.rename(folder / FAILED)
        return error.exit_status
    return ExitStatus.SUCCEEDED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

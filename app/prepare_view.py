"""Prepares a result for the viewer in the browser; the gateway runs it as a process of its own.

    python -m app.prepare_view SOURCE FOLDER SEG...

SOURCE is a folder with the series that the SEGs were made from, and FOLDER an existing folder for
the files of `totalmap.writers.viewer_data`. A second process reads the labels meanwhile. If one of
them fails, `failed.json` says why.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from totalmap import log
from totalmap.errors import ExitStatus, TotalMapError
from totalmap.viewer_files import FAILED

if TYPE_CHECKING:
    from collections.abc import Collection

    from totalmap.dicom.series_selection import Selection

_ONLY_LABELS = "--only-labels"


def main(arguments: Sequence[str]) -> int:
    """Prepares a view; returns the exit status."""
    log.configure("json")
    only_labels = arguments[0] == _ONLY_LABELS
    source, folder, *segs = map(Path, arguments[1:] if only_labels else arguments)
    try:
        if only_labels:
            prepare_labels(source, folder, segs)
            return ExitStatus.SUCCEEDED
        with _other_process(_ONLY_LABELS, *arguments) as labels:
            undecodable = prepare_voxels(source, folder, segs)
        if labels.returncode == ExitStatus.SUCCEEDED:
            finish(undecodable, folder)
        return labels.returncode
    except TotalMapError as error:
        log.get_logger().error("view_failed", kind=type(error).__name__, message=str(error))
        with suppress(OSError):  # the disk may be full, or the folder deleted
            partial = folder / f"{FAILED}.part"
            partial.write_text(json.dumps({"reason": str(error)}), "utf-8")
            partial.rename(folder / FAILED)
        return error.exit_status


def prepare_voxels(source: Path, folder: Path, segs: Sequence[Path]) -> tuple[int, ...]:
    """Writes the voxels of the source; returns the indices of slices that can't be decoded.

    Raises:
        TotalMapError: The source or a SEG can't be read, or the folder can't be written.
    """
    # Imported here, so that both processes begin at once.
    from app.errors_of_other_libraries import foreign_errors_translated
    from totalmap.existing_seg import read_referenced_series
    from totalmap.writers.viewer_data import write_voxels

    with foreign_errors_translated():
        return write_voxels(_selection(source, read_referenced_series(segs)), folder)


def prepare_labels(source: Path, folder: Path, segs: Sequence[Path]) -> None:
    """Writes the labels of the SEGs on the grid of the source.

    Raises:
        TotalMapError: As `prepare_voxels`.
    """
    from app.errors_of_other_libraries import foreign_errors_translated
    from totalmap.existing_seg import read_labels, read_segs, referenced_series
    from totalmap.writers.viewer_data import write_labels

    with foreign_errors_translated():
        objects = read_segs(segs)
        series = referenced_series(seg.header for seg in objects)
        geometry = _selection(source, series).audit.geometry
        write_labels(read_labels(objects, geometry), folder)


def finish(undecodable: tuple[int, ...], folder: Path) -> None:
    """Writes the last file, when all others are there.

    Raises:
        TotalMapError: The folder can't be written.
    """
    from totalmap.writers.viewer_data import write_finished

    write_finished(undecodable, folder)


def _selection(source: Path, series: "Collection[str]") -> "Selection":
    from totalmap.dicom.study import read_study
    from totalmap.existing_seg import source_of
    from totalmap.settings import GapPolicy, GeometrySection

    # The result exists, so its gaps were accepted.
    policy = GeometrySection(gaps=GapPolicy.FILL, max_gap_mm=1000.0)
    return source_of(series, read_study(source), policy)


@contextmanager
def _other_process(*arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Runs this module in another process; waits for its end, or kills it after an error."""
    command = [sys.executable, "-m", "app.prepare_view", *arguments]
    with subprocess.Popen(command) as process:  # noqa: S603  our own
        try:
            yield process
        except BaseException:
            process.kill()
            raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

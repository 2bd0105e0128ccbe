"""Reads corrections of results and writes the corrected results; the gateway delivers them.

The same correction, person and time give the same DICOM objects, byte for byte: after a crash, they
are written again. The library is imported by the first call, since that takes seconds.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from totalmap.reviewer import Reviewer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from totalmap.corrections.read_correction import Correction
    from totalmap.dicom.study import Study
    from totalmap.writers.status_json import RunStatus

    Corrected = Sequence[Path] | NDArray[np.integer]

__all__ = ["Reviewer", "read_correction", "write_corrected_results"]


def read_correction(
    source: Path, predecessor: Path | Sequence[Path], corrected: "Corrected"
) -> "Correction":
    """Reads what a correction changes, and writes nothing.

    Args:
        source: The study with the images: a folder or a ZIP archive.
        predecessor: The folder of the result that was corrected, or its SEG files.
        corrected: SEG files of another tool, or the edited labels (k, j, i) on the grid of the
            source with the labels of the task.

    Raises:
        NothingCorrected: The correction has the labels of the result.
        InputError: The correction does not belong to the result or to the source, or is damaged.
    """
    with _source_of(source) as study:
        return _read(study, predecessor, corrected)


def write_corrected_results(
    source: Path,
    predecessor: Path | Sequence[Path],
    corrected: "Corrected",
    reviewer: Reviewer,
    settings_file: Path,
    target: Path,
) -> "RunStatus":
    """Writes all results of a correction into an output folder, or none, as a run does.

    Args:
        source: As for `read_correction`.
        predecessor: As for `read_correction`.
        corrected: As for `read_correction`.
        reviewer: The person, and the time of the correction.
        settings_file: The settings of the run that made the result before the correction.
        target: The output folder; the files of an earlier run in it are removed.

    Returns:
        The content of status.json.

    Raises:
        NothingCorrected: The correction has the labels of the result.
        InputError: The correction does not belong to the result or to the source, or is damaged.
        OutputError: A file that was written is wrong.
        ConfigError: The name of the person is empty, the settings are wrong, or the folder can't be
            written.
        ResourceError: The disk is full.
    """
    from totalmap.corrections.write_corrected_results import write_corrected_results
    from totalmap.settings import load_settings

    settings = load_settings(settings_file)
    with _source_of(source) as study:
        correction = _read(study, predecessor, corrected)
        return write_corrected_results(correction, study, reviewer, settings, target)


def _read(
    study: "Study", predecessor: Path | Sequence[Path], corrected: "Corrected"
) -> "Correction":
    import numpy as np

    from totalmap.corrections.predecessor import read_predecessor
    from totalmap.corrections.read_correction import correction_of, read_correction

    if isinstance(corrected, np.ndarray):
        return correction_of(read_predecessor(predecessor, study), corrected)
    return read_correction(corrected, predecessor, study)


@contextmanager
def _source_of(source: Path) -> "Iterator[Study]":
    from app.errors_of_other_libraries import foreign_errors_translated
    from totalmap.open_input import open_input

    with foreign_errors_translated(), open_input(source) as opened:
        yield opened.studies(repair_missing_uids=True)

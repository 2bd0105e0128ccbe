"""Writes the DICOM objects of a person's decision about results; the gateway delivers them.

The same decision gives the same bytes: after a crash, an object is written again. A file is whole
or not there, also if two threads write it at once. The library is imported by the first call, since
that takes seconds.
"""

from collections.abc import Sequence
from pathlib import Path

from totalmap.reviewer import Reviewer

__all__ = [
    "Reviewer",
    "scanner_of",
    "write_copies",
    "write_persons_rejection",
    "write_verified_report",
]


def write_verified_report(sr: Path, reviewer: Reviewer, organization: str, target: Path) -> None:
    """Writes a copy of a measurement report (SR) that a person has verified.

    It names the report as its predecessor, and person, organization and time in Verifying Observer
    Sequence (PS3.3 C.17.2). Its content is unchanged; the reason is not part of it.

    Args:
        sr: The report.
        reviewer: The person who takes the responsibility for the content.
        organization: The organization for which this person acts.
        target: The file to write; its folder is created.

    Raises:
        OutputError: The file is no report, or is damaged.
        ConfigError: The name of the person or of the organization is empty, or a file can't be
            read or written.
        ResourceError: The disk is full.
    """
    from app.errors_of_other_libraries import foreign_errors_translated
    from totalmap.writers.sr.verified_report import write_verified_report

    with foreign_errors_translated():
        write_verified_report(sr, reviewer, organization, target)


def write_persons_rejection(
    results: Sequence[Path], reviewer: Reviewer, settings_file: Path, target: Path
) -> None:
    """Writes a Key Object Selection with which a person rejects results (IHE IOCM).

    Its title is (113001, DCM, "Rejected for Quality Reasons"). It names the person as the observer,
    and all results but rejection notes among them. It is another object than the note that quality
    control writes about the same results.

    Args:
        results: DICOM objects of one job, at least one besides rejection notes.
        reviewer: The person, with the reason.
        settings_file: The settings with which the results were made.
        target: The file to write; its folder is created.

    Raises:
        OutputError: There is no result to reject, or one is damaged.
        ConfigError: The name of the person is empty, the settings file or a result can't be read,
            or the folder can't be written.
        ResourceError: The disk is full.
    """
    from app.errors_of_other_libraries import foreign_errors_translated
    from totalmap.settings import load_settings
    from totalmap.writers.changed_copy import read_results
    from totalmap.writers.rejection_note import (
        encode_rejection,
        is_rejection_note,
        rejection_by,
        write_note,
    )

    with foreign_errors_translated():
        datasets = [result.dataset for result in read_results(results)]
        rejected = [dataset for dataset in datasets if not is_rejection_note(dataset)]
        settings = load_settings(settings_file)
        write_note(encode_rejection(rejected, rejection_by(reviewer), settings), target)


def write_copies(results: Sequence[Path], uid_key: str, targets: Sequence[Path]) -> None:
    """Writes copies of DICOM results under new SOP and Series Instance UIDs.

    An archive that has hidden rejected results shows the copies. References among the results lead
    from copy to copy; pixels, source images, tracking UIDs and all else are unchanged.

    Args:
        results: DICOM results of one job. A rejection note among them is not copied, and its
            target is not written.
        uid_key: Distinguishes these copies from other copies of the same results.
        targets: The file to write for each result; their folders are created.

    Raises:
        OutputError: A result is damaged, or refers to another one in a way that we never write.
        ConfigError: A file can't be read or written.
        ResourceError: The disk is full.
    """
    from app.errors_of_other_libraries import foreign_errors_translated
    from totalmap.writers.copies_under_new_uids import write_copies

    with foreign_errors_translated():
        write_copies(results, uid_key, targets)


def scanner_of(source: Path) -> str:
    """Returns `Manufacturer Model` of the scanner that made an image, in one line.

    Args:
        source: The file of an image.

    Returns:
        At most 100 characters; empty if the header states neither, or can't be read.
    """
    from totalmap.dicom.scanner import read_scanner

    return read_scanner(source)

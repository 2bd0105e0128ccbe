"""Writes the DICOM object that rejects the results of images that have been replaced."""

from collections.abc import Sequence
from pathlib import Path

from pydicom.sr.codedict import codes

from totalmap.settings import load_settings
from totalmap.writers.changed_copy import read_results
from totalmap.writers.rejection_note import Rejection, encode_rejection, write_note

REASON = "The images of this study were replaced. These results were made from the earlier images."


def write_replacement_note(results: Sequence[Path], settings_file: Path, target: Path) -> None:
    """Writes a Key Object Selection that rejects results for reasons of patient safety (IHE IOCM).

    The patient attributes are those of the results, under which the destination has filed them. The
    same results give the same note.

    Args:
        results: DICOM objects of one job, at least one.
        settings_file: The settings with which they were made.
        target: The file to write; its folder is created.

    Raises:
        OutputError: A result is damaged.
        ConfigError: The settings file or a result can't be read, or the folder can't be written.
        ResourceError: The disk is full.
    """
    rejected = [result.dataset for result in read_results(results)]
    rejection = Rejection(title=codes.DCM.RejectedForPatientSafetyReasons, reasons=REASON)
    write_note(encode_rejection(rejected, rejection, load_settings(settings_file)), target)

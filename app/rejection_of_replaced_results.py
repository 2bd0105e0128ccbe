"""Writes the DICOM object that rejects the results of images that have been replaced."""

from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from totalmap.settings import load_settings
from totalmap.writers.dicom.write_file_in_parts import write_parts
from totalmap.writers.rejection_note import Rejection, encode_rejection

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
        ConfigError: The settings file can't be read.
        OSError: A file can't be read or written.
    """
    rejected = [pydicom.dcmread(path, stop_before_pixels=True) for path in results]
    rejection = Rejection(title=codes.DCM.RejectedForPatientSafetyReasons, reasons=REASON)
    note = encode_rejection(rejected, rejection, load_settings(settings_file))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with partial.open("wb") as file:
        write_parts(file, note, (), ExplicitVRLittleEndian)
    partial.rename(target)

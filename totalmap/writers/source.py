"""Repaired copies of source instances whose UIDs were empty: results are viewed on them."""

from functools import partial
from typing import BinaryIO

import pydicom

from totalmap.dicom.identity import UID_KEYWORDS
from totalmap.dicom.study import Instance
from totalmap.dicom.volume import Volume
from totalmap.journal import Result
from totalmap.writers.release import RESULTS_NAME, Release

FOLDER_NAME = "source"


def needs_repaired_source(volume: Volume) -> bool:
    """Returns whether any UID of the source had to be derived."""
    return any(instance.repaired_uids for instance in volume.instances)


def write_repaired_source(volume: Volume, release: Release) -> Result:
    """Writes copies of the slices with their derived UIDs, pixels untouched."""
    for number, instance in enumerate(volume.instances, start=1):
        release.write(f"{FOLDER_NAME}/{number:05}.dcm", partial(_write_repaired, instance))
    return Result(kind="source", path=f"{RESULTS_NAME}/{FOLDER_NAME}")


def _write_repaired(instance: Instance, file: BinaryIO) -> None:
    dataset = pydicom.dcmread(instance.path)
    for keyword in UID_KEYWORDS:
        setattr(dataset, keyword, instance.header[keyword].value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(file, enforce_file_format=True)

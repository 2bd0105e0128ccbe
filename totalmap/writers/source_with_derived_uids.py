"""Writes copies of source instances whose UIDs were derived, so that viewers can show results."""

from functools import partial
from typing import BinaryIO

from totalmap.dicom.instance import Instance, read_dataset
from totalmap.dicom.volume import Volume
from totalmap.run_log import Result
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release

FOLDER_NAME = "source"


def needs_repaired_source(volume: Volume) -> bool:
    """Returns whether any UID of the source had to be derived."""
    return any(slice_.instance.repaired_uids for slice_ in volume.slices)


def write_repaired_source(volume: Volume, release: Release) -> Result:
    """Writes copies of the slices with their derived UIDs and unchanged pixels."""
    folder = f"{volume.folder}/{FOLDER_NAME}" if volume.folder else FOLDER_NAME
    files = {slice_.instance.sop_instance_uid: slice_.instance for slice_ in volume.slices}
    for number, instance in enumerate(files.values(), start=1):
        release.write(f"{folder}/{number:05}.dcm", partial(_write_repaired, instance))
    return Result(kind="source", path=f"{RESULTS_NAME}/{folder}")


def _write_repaired(instance: Instance, file: BinaryIO) -> None:
    dataset = read_dataset(instance, with_pixels=True)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    # The true transfer syntax: the file may state another one, or none.
    dataset.file_meta.TransferSyntaxUID = instance.pixels.transfer_syntax
    dataset.save_as(file, enforce_file_format=True)

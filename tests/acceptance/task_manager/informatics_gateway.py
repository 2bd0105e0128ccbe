"""Stands in for the Informatics Gateway, which puts a study into the object store."""

from pathlib import Path

import pydicom

from tests.acceptance.task_manager.object_store import ObjectStore


def receive_study(store: ObjectStore, bucket: str, payload_id: str, files: list[Path]) -> str:
    """Puts a study where the Informatics Gateway does, each file beside its JSON.

    Returns:
        The root of the study: what `context.input.dicom` means in a workflow.
    """
    root = f"{payload_id}/dcm"
    for path in files:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        key = (
            f"{root}/{header.StudyInstanceUID}/{header.SeriesInstanceUID}/"
            f"{header.SOPInstanceUID}.dcm"
        )
        store.put(bucket, key, path.read_bytes())
        store.put(bucket, f"{key}.json", header.to_json().encode())
    return root

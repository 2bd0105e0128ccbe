"""Reads the origin of a result from a DICOM object that TotalMAP wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from totalmap.errors import InputError
from totalmap.origin_in_dicom import Origin, origin_of

# The items of these sequences name the same instances again, frame by frame.
_REPEATING = ("PerFrameFunctionalGroupsSequence", "ROIContourSequence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The origin of a result, without any patient attribute.

    Attributes:
        sop_class: Name of the SOP class.
        description: Series Description.
        origin: Version, task, engine, weights and settings.
        instances: UIDs of all instances that the result refers to, sorted.
    """

    sop_class: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    description: str
    origin: Origin
    instances: tuple[str, ...]


def trace(path: Path) -> Trace:
    """Returns the origin of a result.

    Raises:
        InputError: The file can't be read, is not DICOM, or was not made by TotalMAP.
    """
    try:
        result = pydicom.dcmread(path)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error
    except InvalidDicomError as error:
        raise InputError(f"{path} is not a DICOM file") from error
    return Trace(
        sop_class=result.SOPClassUID.name,
        sop_instance_uid=str(result.SOPInstanceUID),
        series_instance_uid=str(result.SeriesInstanceUID),
        study_instance_uid=str(result.StudyInstanceUID),
        description=str(result.get("SeriesDescription", "")),
        origin=_origin(result, path),
        instances=tuple(sorted(set(_referenced(result)))),
    )


def _origin(result: Dataset, path: Path) -> Origin:
    origin = origin_of(result)
    if origin is None:
        raise InputError(
            f"{path} was not made by TotalMAP: its Contributing Equipment Sequence does not say how"
        )
    return origin


def _referenced(dataset: Dataset) -> Iterator[str]:
    """Yields the UIDs of all referenced instances, also in nested sequences."""
    for element in dataset:
        if element.keyword == "ReferencedSOPInstanceUID":
            yield str(element.value)
        elif element.VR == "SQ" and element.keyword not in _REPEATING:
            for item in element.value:
                yield from _referenced(item)

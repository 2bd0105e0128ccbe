"""Writes an RT Structure Set (PS3.3 A.19): the contours of structures, for planning systems."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, product
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from totalmap.dicom.geometry import Plane
from totalmap.dicom.slices import Slice
from totalmap.errors import OutputError
from totalmap.measure.structure_boxes_in_slices import SliceBox
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.structures import Structure, chosen
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.dicom.fast_dataset_encoding import encoded
from totalmap.writers.dicom.header import ObjectKind
from totalmap.writers.dicom.write_file_in_parts import (
    LONGEST_VALUE,
    decimal_strings,
    element,
    sequence,
    write_parts,
)
from totalmap.writers.rtstruct.contours import positions_lps, slice_contours
from totalmap.writers.rtstruct.header import numbered, observations, structure_set
from totalmap.writers.rtstruct.read_back import LONGEST_CONTOUR, compare_rtstruct

FILE_NAME = "rtstruct.dcm"
KIND = ObjectKind(
    name=ResultKind.RTSTRUCT, sop_class=RTStructureSetStorage, modality="RTSTRUCT", title="contours"
)
# The sign, the point and three decimals of a coordinate, and the separator after it.
_BESIDE_WHOLE_MM = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedRtstruct:
    """A structure set that is ready to be written.

    Attributes:
        structures: The structures that have contours.
        header: The elements before the contours.
        contours: The item of ROI Contour Sequence of each structure, encoded.
    """

    structures: tuple[Structure, ...]
    header: Dataset
    contours: tuple[bytes, ...]

    def write(self, file: BinaryIO) -> None:
        """Writes the whole file.

        The VR is implicit, as in the one transfer syntax that every node takes (PS3.5 10.1). All
        values also fit an explicit VR, so that an archive can store the object with one.
        """
        parts = [
            sequence("ROIContourSequence", *self.contours, implicit=True),
            encoded(observations(self.structures), implicit=True),
        ]
        write_parts(file, self.header, parts, ImplicitVRLittleEndian)


def write_rtstruct(
    segmentation: Segmentation, settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes contours around the labels, reads them back, and compares them with the labels.

    Returns:
        One result, or none if no wanted structure was found.

    Raises:
        OutputError: A structure has no code, the contours are larger than DICOM allows, or the
            contours that were written differ from the labels.
    """
    encoded_set = encode_rtstruct(segmentation, settings)
    if not encoded_set.structures:
        return ()
    name = identifiers.result_name(segmentation, FILE_NAME)
    staged = release.write(name, encoded_set.write)
    compare_rtstruct(pydicom.dcmread(staged), segmentation, encoded_set.structures)
    uid = str(encoded_set.header.SOPInstanceUID)
    return (Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}", sop_instance_uid=uid),)


def encode_rtstruct(segmentation: Segmentation, settings: Settings) -> EncodedRtstruct:
    """Returns the structure set of the structures that were found and are wanted by the settings.

    Raises:
        OutputError: A structure has no code, or the contours are larger than an element can be.
    """
    wanted = chosen(segmentation.structures, settings.results.rtstruct_structures)
    boxes = segmentation.slice_boxes
    structures = tuple(structure for structure in wanted if structure.label in boxes)
    header = structure_set(segmentation, settings, KIND, structures)
    contours: dict[int, list[bytes]] = defaultdict(list)
    of_structures = chain.from_iterable(boxes[structure.label] for structure in structures)
    for label, contour in _contours(segmentation, of_structures):
        contours[label].append(contour)
    length = sum(len(item) for items in contours.values() for item in items)
    if length >= LONGEST_VALUE // 2:  # the other half is more than enough for all other elements
        raise OutputError(
            f"the contours are {length} bytes, too many for an element of a DICOM file: choose "
            "fewer results.rtstruct_structures"
        )
    items = tuple(
        _roi_contour(number, structure, contours[structure.label])
        for number, structure in numbered(structures)
    )
    return EncodedRtstruct(structures=structures, header=header, contours=items)


def _contours(segmentation: Segmentation, boxes: Iterable[SliceBox]) -> Iterator[tuple[int, bytes]]:
    """Yields the label and the item of Contour Sequence (PS3.3 C.8.8.6) of each contour."""
    by_slice: dict[int, list[SliceBox]] = defaultdict(list)
    for box in boxes:
        by_slice[box.k].append(box)
    for k, of_slice in sorted(by_slice.items()):
        source = segmentation.volume.slices[k]
        labels = segmentation.labels[k]
        contours = slice_contours(labels, of_slice, _max_points(source.plane, labels.shape))
        positions = positions_lps(source.plane, contours.points)
        image = _image(source)
        texts = decimal_strings(positions.ravel(), contours.ends * 3)
        for label, text in zip(contours.labels, texts, strict=True):
            yield label, image + _contour(text)


def _max_points(plane: Plane, shape: tuple[int, ...]) -> int:
    """Returns how many points of a slice fit into a text, however long their coordinates are.

    Args:
        plane: The plane of the slice.
        shape: Its rows and columns.
    """
    rows, columns = shape
    corners = np.array(list(product((-1, columns), (-1, rows))), dtype=np.float64)
    farthest_mm = np.ceil(np.abs(positions_lps(plane, corners)).max(axis=0))
    digits = sum(len(str(int(mm))) for mm in farthest_mm)
    return LONGEST_CONTOUR // (digits + 3 * _BESIDE_WHOLE_MM)


def _image(source: Slice) -> bytes:
    """Returns Contour Image Sequence, which names the image of a contour."""
    image = element("ReferencedSOPClassUID", source.instance.sop_class_uid, implicit=True)
    image += element("ReferencedSOPInstanceUID", source.instance.sop_instance_uid, implicit=True)
    if len(source.instance.frames) > 1:
        image += element("ReferencedFrameNumber", str(source.frame.number), implicit=True)
    return sequence("ContourImageSequence", image, implicit=True)


def _contour(data: bytes) -> bytes:
    count = (data.count(b"\\") + 1) // 3
    contour = element("ContourGeometricType", "CLOSED_PLANAR", implicit=True)
    contour += element("NumberOfContourPoints", str(count), implicit=True)
    return contour + element("ContourData", data, implicit=True)


def _roi_contour(number: int, structure: Structure, contours: list[bytes]) -> bytes:
    """Returns the item of ROI Contour Sequence of a structure."""
    colour = "\\".join(map(str, structure_code(structure.name).rgb))
    item = element("ROIDisplayColor", colour, implicit=True)
    item += sequence("ContourSequence", *contours, implicit=True)
    return item + element("ReferencedROINumber", str(number), implicit=True)

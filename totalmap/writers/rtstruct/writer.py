"""An RT Structure Set (PS3.3 A.19): the contours of structures, for planning systems."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from totalmap.dicom.slices import Slice
from totalmap.errors import OutputError
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.structures import Structure
from totalmap.writers.dicom import provenance
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.dicom.decimal_strings import decimal_strings
from totalmap.writers.dicom.derived import Kind
from totalmap.writers.dicom.encoding import LONGEST_VALUE, element, encoded, sequence, write_parts
from totalmap.writers.dicom.frames import SegFrame, seg_frames
from totalmap.writers.release import RESULTS_NAME, Release
from totalmap.writers.rtstruct.contours import positions_lps, slice_contours
from totalmap.writers.rtstruct.header import numbered, observations, structure_set
from totalmap.writers.rtstruct.read_back import check_rtstruct
from totalmap.writers.seg.parts import chosen

FILE_NAME = "rtstruct.dcm"
KIND = Kind(
    name=ResultKind.RTSTRUCT, sop_class=RTStructureSetStorage, modality="RTSTRUCT", title="contours"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedRtstruct:
    """A structure set that is ready to be written.

    Attributes:
        structures: Those that have contours.
        header: All that stands before the contours.
        contours: The item of ROI Contour Sequence of each structure.
    """

    structures: tuple[Structure, ...]
    header: Dataset
    contours: tuple[bytes, ...]

    def write(self, file: BinaryIO) -> None:
        """Writes the whole file.

        The VR is implicit: an explicit one leaves 64 kB to a decimal string (PS3.5 7.1.2), too
        little for a long contour.
        """
        parts = [
            sequence("ROIContourSequence", *self.contours, implicit=True),
            encoded(observations(self.structures), implicit=True),
        ]
        write_parts(file, self.header, parts, ImplicitVRLittleEndian)


def write_rtstruct(
    segmentation: Segmentation, settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes contours around the labels, fills them as read back, and compares these masks.

    Returns:
        One result, or none where nothing that is wanted was found.

    Raises:
        OutputError: A structure has no code, the contours are larger than DICOM allows, or those
            that were written differ from the labels.
    """
    encoded_set = encode_rtstruct(segmentation, settings)
    if not encoded_set.structures:
        return ()
    name = provenance.result_name(segmentation, FILE_NAME)
    aside = release.write(name, encoded_set.write)
    check_rtstruct(pydicom.dcmread(aside), segmentation, encoded_set.structures)
    uid = str(encoded_set.header.SOPInstanceUID)
    return (Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}", sop_instance_uid=uid),)


def encode_rtstruct(segmentation: Segmentation, settings: Settings) -> EncodedRtstruct:
    """Returns the structure set of the structures that were found and are wanted.

    Raises:
        OutputError: A structure has no code, or the contours are larger than an element can be.
    """
    wanted = chosen(segmentation.structures, settings.results.rtstruct_structures)
    frames = seg_frames(segmentation.labels)
    structures = tuple(one for one in wanted if one.label in frames)
    header = structure_set(segmentation, settings, KIND, structures)
    contours: dict[int, list[bytes]] = defaultdict(list)
    of_structures = chain.from_iterable(frames[one.label] for one in structures)
    for label, contour in _contours(segmentation, of_structures):
        contours[label].append(contour)
    length = sum(len(one) for of_one in contours.values() for one in of_one)
    if length >= LONGEST_VALUE // 2:  # the rest is more than what stands around contours needs
        raise OutputError(
            f"the contours are {length} bytes, too many for an element of a DICOM file: choose "
            "fewer results.rtstruct_structures"
        )
    items = tuple(
        _roi_contour(number, one, contours[one.label]) for number, one in numbered(structures)
    )
    return EncodedRtstruct(structures=structures, header=header, contours=items)


def _contours(
    segmentation: Segmentation, frames: Iterable[SegFrame]
) -> Iterator[tuple[int, bytes]]:
    """Yields label and item of Contour Sequence (PS3.3 C.8.8.6) of all contours, by slice."""
    by_slice: dict[int, list[SegFrame]] = defaultdict(list)
    for frame in frames:
        by_slice[frame.k].append(frame)
    for k, of_slice in sorted(by_slice.items()):
        contours = slice_contours(segmentation.labels[k], of_slice)
        source = segmentation.volume.slices[k]
        positions = positions_lps(source.plane, contours.points)
        image = _image(source)
        texts = decimal_strings(positions.ravel(), contours.ends * 3)
        for label, text in zip(contours.labels, texts, strict=True):
            yield label, image + _contour(text)


def _image(source: Slice) -> bytes:
    """Returns Contour Image Sequence: the image that a contour lies on."""
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

"""Writes the header of SEGs of both types: segments, dimensions of the frames, and source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from highdicom.color import CIELabColor
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from totalmap.dicom.derived_uids import derived_uid
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import Structure
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import (
    code_item,
    modified_code_item,
    private_scheme,
    structure_code,
)
from totalmap.writers.dicom.header import (
    ObjectKind,
    algorithm_identification,
    derived_header,
    referenced_series,
)
from totalmap.writers.dicom.write_file_in_parts import write_parts
from totalmap.writers.seg.functional_groups import shared_groups
from totalmap.writers.seg.split_by_body_system import SegPart, would_hold

_SEGMENT = ("ReferencedSegmentNumber", "SegmentIdentificationSequence")
_POSITION = ("ImagePositionPatient", "PlanePositionSequence")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedSeg:
    """A SEG that is ready to be written.

    Attributes:
        part: The structures in it.
        header: All elements except the functional groups of the frames and their pixels.
        large_elements: Yields the functional groups and the pixels, encoded, in pieces.
        syntax: The transfer syntax.
    """

    part: SegPart
    header: Dataset
    large_elements: Callable[[], Iterator[bytes | memoryview]]
    syntax: UID

    def write(self, file: BinaryIO) -> None:
        """Writes the whole file."""
        write_parts(file, self.header, self.large_elements(), self.syntax)


def seg_header(
    segmentation: Segmentation, settings: Settings, kind: ObjectKind, part: SegPart
) -> Dataset:
    """Returns a SEG without frames: patient, study, source, and its segments."""
    found = tuple(measured.structure for measured in segmentation.found())
    structures = would_hold(part, segmentation.structures, found, settings.results)
    header = derived_header(segmentation, settings, kind, part.name, structures)
    if body_part := segmentation.volume.slices[0].instance.body_part:
        header.BodyPartExamined = body_part
    # A code string (CS) has capitals, digits, spaces and underscores.
    header.ContentLabel = identifiers.label(segmentation).upper()
    header.ContentDescription = header.SeriesDescription
    header.ContentCreatorName = None
    header.ImageType = ["DERIVED", "PRIMARY"]
    header.Rows, header.Columns = segmentation.labels.shape[1:]
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.PixelRepresentation = 0
    header.LossyImageCompression = "00"
    header.SegmentsOverlap = "NO"
    network = algorithm_identification(segmentation)
    header.SegmentSequence = [
        _segment(segmentation, settings, network, structure, number)
        for number, structure in enumerate(part.structures, start=1)
    ]
    if any(structure_code(structure.name).is_private for structure in part.structures):
        header.CodingSchemeIdentificationSequence = [private_scheme()]
    header.ReferencedSeriesSequence = [referenced_series(segmentation.volume)]
    header.SharedFunctionalGroupsSequence = [shared_groups(segmentation.volume)]
    return header


def _segment(
    segmentation: Segmentation,
    settings: Settings,
    network: Dataset,
    structure: Structure,
    number: int,
) -> Dataset:
    """Returns the item of Segment Sequence (PS3.3 C.8.20.4) of a structure."""
    code = structure_code(structure.name)
    segment = Dataset()
    segment.SegmentNumber = number
    segment.SegmentLabel = code.display_name
    segment.SegmentAlgorithmType = "AUTOMATIC"
    segment.SegmentAlgorithmName = network.AlgorithmName
    segment.SegmentationAlgorithmIdentificationSequence = [network]
    segment.SegmentedPropertyCategoryCodeSequence = [code_item(code.category)]
    segment.SegmentedPropertyTypeCodeSequence = [
        modified_code_item(code.type, code.modifier, "SegmentedPropertyTypeModifierCodeSequence")
    ]
    if code.region is not None:
        segment.AnatomicRegionSequence = [
            modified_code_item(code.region, code.region_modifier, "AnatomicRegionModifierSequence")
        ]
    segment.TrackingID = structure.name
    segment.TrackingUID = identifiers.tracking_uid(segmentation, settings, structure.name)
    segment.RecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*code.rgb).value)
    return segment


def dimensions(sop_instance_uid: str, *, by_segment: bool) -> Dataset:
    """Returns the dimensions of the frames (PS3.3 C.7.6.17): position, and segment if wanted."""
    uid = derived_uid("dimensions", sop_instance_uid)
    indices = [_SEGMENT, _POSITION] if by_segment else [_POSITION]
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    attributes = Dataset()
    attributes.DimensionOrganizationSequence = [organization]
    attributes.DimensionIndexSequence = [_dimension(uid, *index) for index in indices]
    return attributes


def _dimension(uid: str, keyword: str, group: str) -> Dataset:
    index = Dataset()
    index.DimensionOrganizationUID = uid
    index.DimensionIndexPointer = Tag(keyword)
    index.FunctionalGroupPointer = Tag(group)
    index.DimensionDescriptionLabel = keyword
    return index

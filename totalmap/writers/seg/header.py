"""Writes the header of SEGs of both types: segments, dimensions of the frames, and source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from highdicom.color import CIELabColor
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import UID

from totalmap.correction_history import AlgorithmType, PersonsCorrection
from totalmap.dicom.derived_uids import derived_uid
from totalmap.errors import ConfigError
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import Structure
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.character_sets import use_utf8_if_needed
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
    reference,
    referenced_series,
)
from totalmap.writers.dicom.plain_text import person_name
from totalmap.writers.dicom.write_file_in_parts import write_parts
from totalmap.writers.seg.functional_groups import shared_groups
from totalmap.writers.seg.split_by_body_system import SegPart, would_hold

_SEGMENT = ("ReferencedSegmentNumber", "SegmentIdentificationSequence")
_POSITION = ("ImagePositionPatient", "PlanePositionSequence")
# CID 7202 Source Image Purposes of Reference. A SEG is an image, and CID 7013, for other sources,
# has no code for one.
_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")


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
    if segmentation.correction is not None:
        _add_correction(header, segmentation.correction)
    return header


def _add_correction(header: Dataset, correction: PersonsCorrection) -> None:
    """Names the person, and the SEGs before the correction as sources (PS3.3 C.12.4, C.12.2).

    They stand in Source Instance Sequence, since viewers that know dcmjs take Source Image Sequence
    of a SEG for the images of its frames.

    Raises:
        ConfigError: The name of the person is empty.
    """
    name = person_name(correction.reviewer.name)
    if not name:
        raise ConfigError("corrected results need the name of the reviewer")
    use_utf8_if_needed(header, name)
    header.ContentCreatorName = name
    header.SourceInstanceSequence = []
    for seg in correction.predecessors:
        source = reference(seg.sop_instance_uid, seg.sop_class_uid)
        series = Dataset()
        series.SeriesInstanceUID = seg.series_instance_uid
        series.ReferencedInstanceSequence = [source]
        header.ReferencedSeriesSequence.append(series)
        source = reference(seg.sop_instance_uid, seg.sop_class_uid)
        source.PurposeOfReferenceCodeSequence = [code_item(_SOURCE_IMAGE)]
        header.SourceInstanceSequence.append(source)


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
    kind = segmentation.algorithm_type(structure)
    segment.SegmentAlgorithmType = kind
    if kind is not AlgorithmType.MANUAL:
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

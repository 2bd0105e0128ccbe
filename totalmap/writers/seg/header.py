"""What SEGs of both types say of their segments, the order of their frames, and their source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from highdicom.color import CIELabColor
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import UID

from totalmap.dicom.derived_uids import derived_uid
from totalmap.dicom.volume import Volume
from totalmap.origin import MANUFACTURER
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import Structure
from totalmap.writers.dicom import provenance
from totalmap.writers.dicom.coded import coded
from totalmap.writers.dicom.codes import private_scheme, structure_code
from totalmap.writers.dicom.derived import Kind, derived_header
from totalmap.writers.dicom.encoding import write_parts
from totalmap.writers.dicom.references import references_to
from totalmap.writers.seg.functional_groups import shared_groups
from totalmap.writers.seg.parts import SegPart, would_hold

# CID 7162 Surface Processing / Algorithm Family; 123110 in PS3.16 annex D.
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

_SEGMENT = ("ReferencedSegmentNumber", "SegmentIdentificationSequence")
_POSITION = ("ImagePositionPatient", "PlanePositionSequence")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedSeg:
    """A SEG that is ready to be written.

    Attributes:
        part: Which structures it holds.
        header: All but the functional groups of the frames and their pixels.
        large_elements: Yields these, encoded, in pieces.
    """

    part: SegPart
    header: Dataset
    large_elements: Callable[[], Iterator[bytes | memoryview]]
    syntax: UID

    def write(self, file: BinaryIO) -> None:
        """Writes the whole file."""
        write_parts(file, self.header, self.large_elements(), self.syntax)


def seg_header(
    segmentation: Segmentation, settings: Settings, kind: Kind, part: SegPart
) -> Dataset:
    """Returns a SEG without frames: whose it is, what it refers to, and its segments."""
    found = tuple(one.structure for one in segmentation.found())
    structures = would_hold(part, segmentation.structures, found, settings.results)
    header = derived_header(segmentation, settings, kind, part.name, structures)
    header.ContentLabel = "SEGMENTATION"
    header.ContentDescription = header.SeriesDescription
    header.ContentCreatorName = None
    header.ImageType = ["DERIVED", "PRIMARY"]
    header.Rows, header.Columns = segmentation.labels.shape[1:]
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.PixelRepresentation = 0
    header.LossyImageCompression = "00"
    header.SegmentsOverlap = "NO"
    network = algorithm(segmentation)
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
    one = Dataset()
    one.SegmentNumber = number
    one.SegmentLabel = structure.name
    one.SegmentAlgorithmType = "AUTOMATIC"
    one.SegmentAlgorithmName = network.AlgorithmName
    one.SegmentationAlgorithmIdentificationSequence = [network]
    one.SegmentedPropertyCategoryCodeSequence = [coded(code.category)]
    one.SegmentedPropertyTypeCodeSequence = [
        modified_code(code.type, code.modifier, "SegmentedPropertyTypeModifierCodeSequence")
    ]
    if code.region is not None:
        one.AnatomicRegionSequence = [
            modified_code(code.region, code.region_modifier, "AnatomicRegionModifierSequence")
        ]
    one.TrackingID = structure.name
    one.TrackingUID = provenance.tracking_uid(segmentation, settings, structure.name)
    one.RecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*code.rgb).value)
    return one


def modified_code(code: Code, modifier: Code | None, sequence: str) -> Dataset:
    """Returns a code whose modifier stands inside its item, where PS3.3 C.8.20.4 places it."""
    item = coded(code)
    if modifier is not None:
        setattr(item, sequence, [coded(modifier)])
    return item


def algorithm(segmentation: Segmentation) -> Dataset:
    """Returns the item of Algorithm Identification (PS3.3 10.16)."""
    algorithm = Dataset()
    algorithm.AlgorithmFamilyCodeSequence = [coded(ARTIFICIAL_INTELLIGENCE)]
    algorithm.AlgorithmName = provenance.algorithm_name(segmentation)
    algorithm.AlgorithmVersion = provenance.software_versions()
    algorithm.AlgorithmParameters = provenance.algorithm_parameters(segmentation)
    algorithm.AlgorithmSource = MANUFACTURER
    return algorithm


def dimensions(sop_instance_uid: str, *, by_segment: bool) -> Dataset:
    """Returns how frames are indexed (PS3.3 C.7.6.17): by segment or not, and by position."""
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


def referenced_series(volume: Volume) -> Dataset:
    """Returns the item of Common Instance Reference (PS3.3 C.12.2): each file of the source."""
    series = Dataset()
    series.SeriesInstanceUID = volume.series_instance_uid
    series.ReferencedInstanceSequence = references_to(volume)
    return series

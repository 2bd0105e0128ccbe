"""Builds the measurement group of a structure in the SR (PS3.16 TID 1411 or TID 1501)."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from totalmap.correction_history import AlgorithmType
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import MeasuredStructure, Structure
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import (
    LIMITATION,
    Intensity,
    StructureCode,
    intensity_of,
    limitation_codes,
    structure_code,
)
from totalmap.writers.dicom.content_items import (
    Relationship,
    code_content,
    container,
    number_content,
    segment_content,
    text_content,
    uid_content,
    with_items_below,
)
from totalmap.writers.seg.segment_lookup import SegmentReference

VOLUME = Code("118565006", "SCT", "Volume")
MILLILITRE = Code("mL", "UCUM", "milliliter")
# CID 7474 Volume Measurement Methods, CID 7464 General Region of Interest Measurement Modifiers.
SUM_OF_VOXELS = Code("126030", "DCM", "Sum of segmented voxel method for volume")
MEAN = Code("373098007", "SCT", "Mean")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")

# Concepts of TID 1411, 1501, 1502, 4019, 4108 and 1419.
_MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
_TRACKING_ID = Code("112039", "DCM", "Tracking Identifier")
_TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
_FINDING_CATEGORY = Code("276214006", "SCT", "Finding category")
_FINDING = Code("121071", "DCM", "Finding")
_FINDING_SITE = Code("363698007", "SCT", "Finding Site")
_LATERALITY = Code("272741003", "SCT", "Laterality")
_ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
_ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
_ALGORITHM_PARAMETERS = Code("111002", "DCM", "Algorithm Parameters")
_METHOD = Code("370129005", "SCT", "Measurement Method")
_DERIVATION = Code("121401", "DCM", "Derivation")
_SEGMENT = Code("121191", "DCM", "Referenced Segment")
_SOURCE_SERIES = Code("121232", "DCM", "Source Series for Segmentation")


def measurement_group(
    segmentation: Segmentation,
    settings: Settings,
    found: MeasuredStructure,
    segment: SegmentReference | None,
) -> Dataset:
    """Returns the content item of a structure.

    TID 1411 requires the segment that was measured. Without a SEG, the group is the generic one
    (TID 1501), which requires none.

    Raises:
        OutputError: The structure has no code.
    """
    name = found.structure.name
    code = structure_code(name)
    tracking_uid = identifiers.tracking_uid(segmentation, settings, name)
    items = [
        text_content(_TRACKING_ID, name, Relationship.OBSERVATION_CONTEXT),
        uid_content(_TRACKING_UID, tracking_uid, Relationship.OBSERVATION_CONTEXT),
        code_content(_FINDING_CATEGORY, code.category),
        code_content(_FINDING, code.type),
        _finding_site(code),
        *_algorithm(segmentation, found.structure),
        *_measurements(found, intensity_of(segmentation.volume)),
        *(code_content(LIMITATION, limitation) for limitation in limitation_codes(found)),
    ]
    if segment is None:
        return container(_MEASUREMENT_GROUP, items, template="1501")
    items += _segment(segmentation, segment)
    return container(_MEASUREMENT_GROUP, items, template="1411")


def site_of(code: StructureCode) -> tuple[Code, Code | None]:
    """Returns the finding site and its side: the region, or else the structure itself."""
    if code.region is None:
        return code.type, code.modifier
    return code.region, code.region_modifier or code.modifier


def _finding_site(code: StructureCode) -> Dataset:
    site, side = site_of(code)
    item = code_content(_FINDING_SITE, site, Relationship.CONCEPT_MODIFIER)
    if side is None:
        return item
    return with_items_below(item, code_content(_LATERALITY, side, Relationship.CONCEPT_MODIFIER))


def _algorithm(segmentation: Segmentation, structure: Structure) -> Iterator[Dataset]:
    """Yields Algorithm Identification (TID 4019): name, version and parameters as in the SEG.

    A structure that a person has drawn alone has none.
    """
    if segmentation.algorithm_type(structure) is AlgorithmType.MANUAL:
        return
    for concept, text in (
        (_ALGORITHM_NAME, identifiers.algorithm_name(segmentation)),
        (_ALGORITHM_VERSION, identifiers.software_versions()),
        (_ALGORITHM_PARAMETERS, identifiers.algorithm_parameters(segmentation)),
    ):
        yield text_content(concept, text, Relationship.CONCEPT_MODIFIER)


def _measurements(found: MeasuredStructure, intensity: Intensity | None) -> Iterator[Dataset]:
    """Yields the volume, and mean and standard deviation in CT and MR (TID 1419)."""
    volume = number_content(VOLUME, found.volume_ml, MILLILITRE)
    yield _qualified(volume, _METHOD, SUM_OF_VOXELS)
    if intensity is not None:
        for derivation, value in ((MEAN, found.mean), (STANDARD_DEVIATION, found.sd)):
            number = number_content(intensity.name, value, intensity.unit)
            yield _qualified(number, _DERIVATION, derivation)


def _qualified(number: Dataset, concept: Code, value: Code) -> Dataset:
    """Returns a number after it is said how it was computed."""
    return with_items_below(number, code_content(concept, value, Relationship.CONCEPT_MODIFIER))


def _segment(segmentation: Segmentation, segment: SegmentReference) -> tuple[Dataset, Dataset]:
    """Returns the reference to a segment, and the series that was segmented."""
    return (
        segment_content(_SEGMENT, segment.sop_class, segment.instance_uid, segment.segment_number),
        uid_content(_SOURCE_SERIES, segmentation.volume.series_instance_uid),
    )

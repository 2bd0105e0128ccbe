"""Builds the measurement group of a structure in the SR (PS3.16 TID 1411 or TID 1501)."""

from functools import partial
from typing import Any

from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.sr.coding import Code

from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import MeasuredStructure
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import (
    LIMITATION,
    Intensity,
    StructureCode,
    intensity_of,
    limitation_codes,
    structure_code,
)
from totalmap.writers.seg.segment_lookup import SegmentReference

VOLUME = Code("118565006", "SCT", "Volume")
MILLILITRE = Code("mL", "UCUM", "milliliter")
# CID 7474 Volume Measurement Methods, CID 7464 General Region of Interest Measurement Modifiers.
SUM_OF_VOXELS = Code("126030", "DCM", "Sum of segmented voxel method for volume")
MEAN = Code("373098007", "SCT", "Mean")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")


def measurement_group(
    segmentation: Segmentation,
    settings: Settings,
    found: MeasuredStructure,
    segment: SegmentReference | None,
) -> Any:
    """Returns the content item of a structure, in a sequence of highdicom.

    TID 1411 requires the segment that was measured. Without a SEG, the group is the generic one
    (TID 1501), which requires none.

    Raises:
        OutputError: The structure has no code.
    """
    code = structure_code(found.structure.name)
    template = MeasurementsAndQualitativeEvaluations
    if segment is not None:
        template = partial(
            VolumetricROIMeasurementsAndQualitativeEvaluations,
            referenced_segment=_segment(segmentation, segment),
        )
    return template(
        tracking_identifier=TrackingIdentifier(
            uid=identifiers.tracking_uid(segmentation, settings, found.structure.name),
            identifier=found.structure.name,
        ),
        finding_category=code.category,
        finding_type=code.type,
        finding_sites=[_finding_site(code)],
        algorithm_id=_algorithm(segmentation),
        measurements=_measurements(found, intensity_of(segmentation.volume)),
        qualitative_evaluations=[
            QualitativeEvaluation(LIMITATION, code) for code in limitation_codes(found)
        ],
    )


def site_of(code: StructureCode) -> tuple[Code, Code | None]:
    """Returns the finding site and its side: the region, or else the structure itself."""
    if code.region is None:
        return code.type, code.modifier
    return code.region, code.region_modifier or code.modifier


def _segment(segmentation: Segmentation, segment: SegmentReference) -> Any:
    source = segmentation.volume.series_instance_uid
    return ReferencedSegment(
        sop_class_uid=segment.sop_class,
        sop_instance_uid=segment.instance_uid,
        segment_number=segment.segment_number,
        source_series=SourceSeriesForSegmentation(source),
    )


def _finding_site(code: StructureCode) -> Any:
    site, side = site_of(code)
    return FindingSite(site, laterality=side)


def _measurements(found: MeasuredStructure, intensity: Intensity | None) -> list[Any]:
    """Returns the volume, and mean and standard deviation in CT and MR (TID 1419)."""
    volume = Measurement(VOLUME, found.volume_ml, MILLILITRE, method=SUM_OF_VOXELS)
    if intensity is None:
        return [volume]
    statistics = ((MEAN, found.mean), (STANDARD_DEVIATION, found.sd))
    return [volume] + [
        Measurement(intensity.name, value, intensity.unit, derivation=derivation)
        for derivation, value in statistics
    ]


def _algorithm(segmentation: Segmentation) -> Any:
    """Returns Algorithm Identification (TID 4019): name, version and parameters as in the SEG."""
    return AlgorithmIdentification(
        name=identifiers.algorithm_name(segmentation),
        version=identifiers.software_versions(),
        parameters=[identifiers.algorithm_parameters(segmentation)],
    )

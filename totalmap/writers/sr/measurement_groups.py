"""What a report says of a structure: a measurement group of PS3.16 TID 1411 or TID 1501."""

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
from totalmap.writers.dicom import provenance
from totalmap.writers.dicom.codes import LIMITATION, StructureCode, limitations, structure_code
from totalmap.writers.dicom.intensity import Intensity, intensity_of
from totalmap.writers.seg.segment_references import SegPlace

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
    place: SegPlace | None,
) -> Any:
    """Returns the content item of a structure, inside a sequence of highdicom.

    TID 1411 asks for the segment that was measured. Where no SEG has it, the group is the generic
    one, which needs no region.

    Raises:
        OutputError: The structure has no code.
    """
    code = structure_code(found.structure.name)
    template = MeasurementsAndQualitativeEvaluations
    if place is not None:
        template = partial(
            VolumetricROIMeasurementsAndQualitativeEvaluations,
            referenced_segment=_segment(segmentation, place),
        )
    return template(
        tracking_identifier=TrackingIdentifier(
            uid=provenance.tracking_uid(segmentation, settings, found.structure.name),
            identifier=found.structure.name,
        ),
        finding_category=code.category,
        finding_type=code.type,
        finding_sites=[_finding_site(code)],
        algorithm_id=_algorithm(segmentation),
        measurements=_measurements(found, intensity_of(segmentation.volume)),
        qualitative_evaluations=[
            QualitativeEvaluation(LIMITATION, one) for one in limitations(found)
        ],
    )


def site_of(code: StructureCode) -> tuple[Code, Code | None]:
    """Returns where a structure lies, and on which side: its region, or else itself."""
    if code.region is None:
        return code.type, code.modifier
    return code.region, code.region_modifier or code.modifier


def _segment(segmentation: Segmentation, place: SegPlace) -> Any:
    source = segmentation.volume.series_instance_uid
    return ReferencedSegment(
        sop_class_uid=place.sop_class,
        sop_instance_uid=place.instance_uid,
        segment_number=place.segment_number,
        source_series=SourceSeriesForSegmentation(source),
    )


def _finding_site(code: StructureCode) -> Any:
    site, side = site_of(code)
    return FindingSite(site, laterality=side)


def _measurements(found: MeasuredStructure, intensity: Intensity | None) -> list[Any]:
    """Returns the volume, and what the voxels measure where that is known (TID 1419)."""
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
        name=provenance.algorithm_name(segmentation),
        version=provenance.software_versions(),
        parameters=[provenance.algorithm_parameters(segmentation)],
    )

from dataclasses import replace

import highdicom.sr as hd
import numpy as np
import pytest

from tests.phantom.study import WrittenSeries
from tests.segmentations import segmentation_with, volume_of
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import MeasuredStructure
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import LIMITATION, limitation_codes, structure_code
from totalmap.writers.dicom.content_items import separate_containers
from totalmap.writers.dicom.fast_dataset_encoding import encoded
from totalmap.writers.seg.segment_lookup import SegmentReference, segment_references
from totalmap.writers.sr.measurement_groups import (
    MEAN,
    MILLILITRE,
    STANDARD_DEVIATION,
    SUM_OF_VOXELS,
    VOLUME,
    measurement_group,
    site_of,
)
from totalmap.writers.sr.writer import encode_sr

SETTINGS = Settings()
KIDNEY_LEFT, LIVER, TRACHEA = 3, 5, 16


@pytest.fixture(scope="module")
def segmentation(phantom_series: WrittenSeries) -> Segmentation:
    """Structures with a side and without one, one of them cut and small."""
    labels = np.zeros_like(phantom_series.labels)
    labels[5:15, 30:40, 30:40] = LIVER
    labels[20:25, 50:55, 50:55] = TRACHEA
    labels[0, 60, 60] = KIDNEY_LEFT
    return segmentation_with(volume_of(phantom_series.folder), labels)


def numbers(segmentation: Segmentation, found: MeasuredStructure) -> list[hd.Measurement]:
    unit = hd.CodedConcept("[hnsf'U]", "UCUM", "Hounsfield unit")
    attenuation = hd.CodedConcept("112031", "DCM", "Attenuation Coefficient")
    assert segmentation.volume.modality == "CT"
    return [
        hd.Measurement(VOLUME, found.volume_ml, MILLILITRE, method=SUM_OF_VOXELS),
        hd.Measurement(attenuation, found.mean, unit, derivation=MEAN),
        hd.Measurement(attenuation, found.sd, unit, derivation=STANDARD_DEVIATION),
    ]


def group_of_highdicom(
    segmentation: Segmentation, found: MeasuredStructure, segment: SegmentReference | None
) -> bytes:
    """Returns what highdicom's templates make of a structure."""
    name = found.structure.name
    code = structure_code(name)
    site, side = site_of(code)
    content = {
        "tracking_identifier": hd.TrackingIdentifier(
            uid=identifiers.tracking_uid(segmentation, SETTINGS, name), identifier=name
        ),
        "finding_category": code.category,
        "finding_type": code.type,
        "finding_sites": [hd.FindingSite(site, laterality=side)],
        "algorithm_id": hd.AlgorithmIdentification(
            name=identifiers.algorithm_name(segmentation),
            version=identifiers.software_versions(),
            parameters=[identifiers.algorithm_parameters(segmentation)],
        ),
        "measurements": numbers(segmentation, found),
        "qualitative_evaluations": [
            hd.QualitativeEvaluation(LIMITATION, limitation)
            for limitation in limitation_codes(found)
        ],
    }
    if segment is None:
        (group,) = hd.MeasurementsAndQualitativeEvaluations(**content)
    else:
        referenced = hd.ReferencedSegment(
            sop_class_uid=segment.sop_class,
            sop_instance_uid=segment.instance_uid,
            segment_number=segment.segment_number,
            source_series=hd.SourceSeriesForSegmentation(segmentation.volume.series_instance_uid),
        )
        (group,) = hd.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=referenced, **content
        )
    separate_containers(group)
    return encoded(group)


@pytest.mark.parametrize("has_seg", [True, False], ids=["with a SEG", "without a SEG"])
def test_measurement_groups_of_the_sr_have_the_bytes_of_highdicoms_templates(
    segmentation: Segmentation, has_seg: bool
) -> None:
    segments = segment_references(segmentation, SETTINGS) if has_seg else {}
    assert len(segmentation.found()) == 3
    for found in segmentation.found():
        segment = segments.get(found.structure)
        expected = group_of_highdicom(segmentation, found, segment)
        assert encoded(measurement_group(segmentation, SETTINGS, found, segment)) == expected


def test_highdicom_reads_the_whole_sr_as_a_measurement_report(segmentation: Segmentation) -> None:
    report = encode_sr(replace(segmentation), SETTINGS)
    read = hd.MeasurementReport.from_sequence([report])
    groups = read.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == [
        found.structure.name for found in segmentation.found()
    ]

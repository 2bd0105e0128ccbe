import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage

from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import RULE, segmentation_with, volume_of
from tests.validators import errors_of_pixelmed, findings_of_dciodvfy, rendered_by_dcmtk
from totalmap.errors import OutputError
from totalmap.result_options import SegSplit
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, ResultsSection, Settings
from totalmap.structures import Limitation, Structure
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.dicom.codes import intensity_of
from totalmap.writers.seg.binary import encode_segs
from totalmap.writers.seg.labelmap import encode_seg_labelmaps
from totalmap.writers.sr import measurement_groups
from totalmap.writers.sr.read_back import compare_sr
from totalmap.writers.sr.writer import encode_sr, write_sr

TID1500READER = Path(sys.executable).with_name("tid1500reader")
IOD = "Comprehensive3DSR"
# dciodvfy knows private schemes of some vendors by name and warns of all others.
OWN_SCHEME = (
    "Warning - Unrecognized defined term <99TOTALMAP> "
    "for value 1 of attribute <Coding Scheme Designator>"
)
KIDNEY_LEFT, LIVER, AORTA = 3, 5, 52


def with_kinds(*kinds: ResultKind) -> Settings:
    return Settings(results=ResultsSection(kinds=kinds))


def written_sr(segmentation: Segmentation, folder: Path, settings: Settings | None = None) -> Path:
    with open_release(folder) as release:
        (result,) = write_sr(segmentation, settings or Settings(), release)
        release.publish({})
    return folder / result.path


@pytest.fixture(scope="module")
def sr_path(true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_sr(true_segmentation, tmp_path_factory.mktemp("sr"))


@pytest.fixture(scope="module")
def whole(phantom_series: WrittenSeries) -> Segmentation:
    """Two structures without any limitation."""
    labels = np.zeros_like(phantom_series.labels)
    labels[5:15, 30:40, 30:40] = LIVER
    labels[20:25, 50:55, 50:55] = AORTA
    return segmentation_with(volume_of(phantom_series.folder), labels)


@pytest.fixture(scope="module")
def limited(whole: Segmentation) -> Segmentation:
    """The same and a structure with every limitation."""
    labels = whole.labels.copy()
    labels[0, 60, 60] = labels[-1, 60, 0] = KIDNEY_LEFT
    # Voxels of some millilitres on the grid of the network, where single ones count as pieces.
    affine = whole.inference.affine_lps @ np.diag([3, 3, 3, 1])
    inference = replace(whole.inference, labels=np.moveaxis(labels, 0, 2), affine_lps=affine)
    return replace(whole, labels=labels, inference=inference)


def groups_of(report: Dataset) -> list[Dataset]:
    (container,) = (item for item in report.ContentSequence if item.ValueType == "CONTAINER")
    return list(container.ContentSequence)


def item_of(group: Dataset, code: str) -> Dataset:
    items: list[Dataset] = group.ContentSequence
    return next(item for item in items if item.ConceptNameCodeSequence[0].CodeValue == code)


def read_by_dcmqi(path: Path, folder: Path) -> dict[str, Any]:
    """Returns the measurements that dcmqi reads for each tracking identifier."""
    output = folder / "report.json"
    command = [TID1500READER, "--inputDICOM", path, "--outputMetadata", output]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    groups = json.loads(output.read_text())["Measurements"]
    return {group["TrackingIdentifier"]: group for group in groups}


@pytest.mark.parametrize("kinds", [tuple(ResultKind), (ResultKind.SR,)], ids=["with SEG", "alone"])
def test_dcmqi_reads_every_number_of_the_sr(
    true_segmentation: Segmentation, tmp_path: Path, kinds: tuple[ResultKind, ...]
) -> None:
    settings = with_kinds(*kinds)
    groups = read_by_dcmqi(written_sr(true_segmentation, tmp_path, settings), tmp_path)
    (seg,) = encode_segs(true_segmentation, settings)
    segments = seg.header.SegmentSequence
    assert list(groups) == [segment.TrackingID for segment in segments]
    for found, segment in zip(true_segmentation.found(), segments, strict=True):
        group = groups[segment.TrackingID]
        volume, mean, sd = group["measurementItems"]
        assert group["TrackingUniqueIdentifier"] == segment.TrackingUID
        (finding,) = segment.SegmentedPropertyTypeCodeSequence
        assert group["Finding"]["CodeValue"] == finding.CodeValue
        assert float(volume["value"]) == found.volume_ml
        assert volume["units"]["CodeValue"] == "mL"
        assert (float(mean["value"]), float(sd["value"])) == (found.mean, found.sd)
        assert mean["derivationModifier"]["CodeValue"] == "373098007"
        assert sd["derivationModifier"]["CodeValue"] == "386136009"
        assert mean["units"]["CodeValue"] == sd["units"]["CodeValue"] == "[hnsf'U]"
        if ResultKind.SEG in kinds:
            assert group["ReferencedSegment"] == segment.SegmentNumber


@pytest.mark.parametrize("kind", [ResultKind.SEG, ResultKind.SEG_LABELMAP])
def test_each_measurement_group_of_the_sr_refers_to_its_segment(
    limited: Segmentation, kind: ResultKind
) -> None:
    settings = with_kinds(kind, ResultKind.SR)
    report = encode_sr(limited, settings)
    encode = encode_segs if kind is ResultKind.SEG else encode_seg_labelmaps
    (seg,) = (encoded.header for encoded in encode(limited, settings))
    names = {item.SegmentNumber: item.get("TrackingID") for item in seg.SegmentSequence}
    for group in groups_of(report):
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1411"
        (segment,) = item_of(group, "121191").ReferencedSOPSequence
        assert segment.ReferencedSOPClassUID == seg.SOPClassUID
        assert segment.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert names[segment.ReferencedSegmentNumber] == item_of(group, "112039").TextValue
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    source, segs = study.ReferencedSeriesSequence
    assert len(source.ReferencedSOPSequence) == len(limited.volume.slices)
    assert segs.SeriesInstanceUID == seg.SeriesInstanceUID


def test_measurement_groups_of_the_sr_are_generic_without_a_seg(limited: Segmentation) -> None:
    report = encode_sr(limited, with_kinds(ResultKind.SR))
    templates = {group.ContentTemplateSequence[0].TemplateIdentifier for group in groups_of(report)}
    assert templates == {"1501"}
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (source,) = study.ReferencedSeriesSequence
    assert source.SeriesInstanceUID == limited.volume.slices[0].instance.series_instance_uid


@pytest.mark.parametrize("kinds", [tuple(ResultKind), (ResultKind.SR,)], ids=["with SEG", "alone"])
def test_dciodvfy_finds_neither_error_nor_warning_in_the_sr(
    whole: Segmentation, limited: Segmentation, tmp_path: Path, kinds: tuple[ResultKind, ...]
) -> None:
    settings = with_kinds(*kinds)
    assert findings_of_dciodvfy(written_sr(whole, tmp_path / "whole", settings), IOD) == []
    path = written_sr(limited, tmp_path / "limited", settings)
    assert set(findings_of_dciodvfy(path, IOD)) == {OWN_SCHEME}


def test_pixelmed_finds_no_error_in_the_sr(limited: Segmentation, tmp_path: Path) -> None:
    assert errors_of_pixelmed(written_sr(limited, tmp_path)) == []


def test_dcmtk_renders_the_sr(sr_path: Path, tmp_path: Path) -> None:
    html = rendered_by_dcmtk(sr_path, tmp_path)
    assert "Imaging Measurement Report" in html
    assert "touches superior edge of field of view" in html
    text = " ".join(re.sub(r"<[^>]*>", " ", html).split())
    assert re.search(r"Volume: *[0-9.]+ mL", text)
    assert re.search(r"Attenuation Coefficient: *-?[0-9.]+ \[hnsf'U\]", unescape(text))


def test_every_container_of_the_sr_is_a_list_of_items(sr_path: Path) -> None:
    """Readers show the items of a continuous text without their names."""
    report = pydicom.dcmread(sr_path)
    assert set(continuities(report)) == {"SEPARATE"}
    assert len(list(continuities(report))) > len(groups_of(report))


def continuities(item: Dataset) -> Iterator[str]:
    if item.ValueType == "CONTAINER":
        yield item.ContinuityOfContent
    for below in item.get("ContentSequence", ()):
        yield from continuities(below)


def test_sr_refers_to_its_source_and_names_its_observer(
    sr_path: Path, phantom_series: WrittenSeries
) -> None:
    report, source = pydicom.dcmread(sr_path), pydicom.dcmread(phantom_series.paths[0])
    assert report.SOPClassUID == Comprehensive3DSRStorage
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate"):
        assert report[keyword].value == source[keyword].value
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert report.PreliminaryFlag == "PRELIMINARY"
    assert "unverified" in report.SeriesDescription
    assert item_of(report, "121014").TextValue == "TotalMAP"
    procedure = item_of(report, "121058").ConceptCodeSequence[0]
    assert procedure.CodeMeaning == "CT unspecified body region"


def test_limitations_in_the_sr_are_codes_of_our_scheme(
    limited: Segmentation, whole: Segmentation
) -> None:
    report = encode_sr(limited, Settings())
    kidney, *others = groups_of(report)
    said = [
        item.ConceptCodeSequence[0].CodeValue
        for item in kidney.ContentSequence
        if item.ConceptNameCodeSequence[0].CodingSchemeDesignator == "99TOTALMAP"
    ]
    found = limited.found()[0]
    assert found.limitations == tuple(Limitation)
    assert said == [*(f"edge_{face}" for face in found.faces), "few_voxels", "several_pieces"]
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99TOTALMAP"
    assert "99TOTALMAP" not in str(others)
    assert "CodingSchemeIdentificationSequence" not in encode_sr(whole, Settings())


def test_the_finding_site_of_an_sr_measurement_has_its_side_and_region(
    limited: Segmentation,
) -> None:
    report = encode_sr(limited, Settings())
    site = item_of(groups_of(report)[0], "363698007")
    (side,) = site.ContentSequence
    assert site.ConceptCodeSequence[0].CodeMeaning == "Kidney"
    assert side.ConceptCodeSequence[0].CodeMeaning == "Left"
    own = replace(limited, structures=(Structure(label=LIVER, name="external_oblique_left"),))
    report = encode_sr(own, Settings())
    (group,) = groups_of(report)
    site = item_of(group, "363698007")
    assert item_of(group, "121071").ConceptCodeSequence[0].CodeValue == "1142228004"
    assert site.ConceptCodeSequence[0].CodeValue == "external_oblique"
    assert site.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Left"
    assert "CodingSchemeIdentificationSequence" in report


def test_sr_of_an_mr_has_signal_intensity(tmp_path: Path) -> None:
    spec = SeriesSpec(rows=34, columns=37, n_slices=4, slice_spacing_mm=6.0, modality="MR")
    written = write_series(tmp_path / "study", 1, spec)
    volume = volume_of(written.folder, rule=RULE.model_copy(update={"modalities": ("MR",)}))
    segmentation = segmentation_with(volume, written.labels)
    path = written_sr(segmentation, tmp_path / "out")
    assert set(findings_of_dciodvfy(path, IOD)) <= {OWN_SCHEME}
    for group in read_by_dcmqi(path, tmp_path).values():
        _, mean, sd = group["measurementItems"]
        assert mean["quantity"]["CodeMeaning"] == sd["quantity"]["CodeMeaning"]
        assert mean["quantity"]["CodeMeaning"] == "MR signal intensity"
        assert mean["units"]["CodeValue"] == sd["units"]["CodeValue"] == "1"


def test_measurement_codes_of_the_sr_are_those_of_the_standard(
    true_segmentation: Segmentation,
) -> None:
    intensity = intensity_of(true_segmentation.volume)
    assert intensity is not None
    assert intensity.name == codes.DCM.AttenuationCoefficient
    assert intensity.unit == codes.UCUM.HounsfieldUnit
    assert codes.SCT.Volume == measurement_groups.VOLUME
    assert codes.DCM.SumOfSegmentedVoxelMethodForVolume == measurement_groups.SUM_OF_VOXELS
    assert codes.SCT.Mean == measurement_groups.MEAN
    assert codes.SCT.StandardDeviation == measurement_groups.STANDARD_DEVIATION


def test_same_labels_give_the_same_sr_bytes(
    true_segmentation: Segmentation, sr_path: Path, tmp_path: Path
) -> None:
    again = written_sr(replace(true_segmentation), tmp_path)
    assert again.read_bytes() == sr_path.read_bytes()


def _another_number(report: Dataset) -> None:
    (value,) = item_of(groups_of(report)[1], "118565006").MeasuredValueSequence
    value.NumericValue = "1.5"


def _another_unit(report: Dataset) -> None:
    (value,) = item_of(groups_of(report)[1], "118565006").MeasuredValueSequence
    value.MeasurementUnitsCodeSequence[0].CodeValue = "cm3"


def _another_segment(report: Dataset) -> None:
    item_of(groups_of(report)[1], "121191").ReferencedSOPSequence[0].ReferencedSegmentNumber = 1


def _another_side(report: Dataset) -> None:
    (side,) = item_of(groups_of(report)[0], "363698007").ContentSequence
    side.ConceptCodeSequence[0].CodeValue = "24028007"


def _no_limitation(report: Dataset) -> None:
    del groups_of(report)[0].ContentSequence[-3]


def _no_group(report: Dataset) -> None:
    del report.ContentSequence[-1].ContentSequence[1]


def _no_evidence(report: Dataset) -> None:
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    del study.ReferencedSeriesSequence[0].ReferencedSOPSequence[3]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_another_number, "differs from the measurements of the liver"),
        (_another_unit, "differs from the measurements of the liver"),
        (_another_segment, "differs from the measurements of the liver"),
        (_another_side, "differs from the measurements of the left kidney"),
        (_no_limitation, "differs from the measurements of the left kidney"),
        (_no_group, "2 measurement groups for 3 structures"),
        (_no_evidence, "evidence"),
    ],
)
def test_read_back_notices_a_changed_sr(
    limited: Segmentation, spoil: Callable[[Dataset], None], message: str
) -> None:
    report = encode_sr(limited, Settings())
    compare_sr(report, limited, Settings())
    spoil(report)
    with pytest.raises(OutputError, match=message):
        compare_sr(report, limited, Settings())


def test_labels_without_structures_give_no_sr(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    empty = replace(true_segmentation, labels=np.zeros_like(true_segmentation.labels))
    with open_release(tmp_path) as release:
        assert write_sr(empty, Settings(), release) == ()


def test_sr_refers_to_the_segs_of_the_body_systems(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    settings = Settings(
        results=ResultsSection(seg_split=SegSplit.BODY_SYSTEM, seg_structures=("liver", "aorta"))
    )
    report = encode_sr(true_segmentation, settings)
    segs = {seg.header.SOPInstanceUID: seg for seg in encode_segs(true_segmentation, settings)}
    assert len(segs) == 2
    referred = {}
    for group in groups_of(report):
        name = item_of(group, "112039").TextValue
        template = group.ContentTemplateSequence[0].TemplateIdentifier
        assert (template == "1411") == (name in ("liver", "aorta"))
        if template == "1411":
            (segment,) = item_of(group, "121191").ReferencedSOPSequence
            seg = segs[segment.ReferencedSOPInstanceUID]
            referred[name] = seg.part.structures[segment.ReferencedSegmentNumber - 1].name
    assert referred == {"liver": "liver", "aorta": "aorta"}
    with open_release(tmp_path) as release:
        assert write_sr(
            true_segmentation, settings, release
        )  # which compares the file with the measurements

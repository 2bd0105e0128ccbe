"""Tests the corrected results, as the gateway has them written."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from app.correction_documents import write_corrected_results
from app.reproduce import reproduce
from app.run_study import RunRequest
from tests.corrections import REVIEWER, Reviewed, edited, labels_of, reviewed_result
from tests.results import result_in
from tests.validators import findings_of_dciodvfy
from totalmap.corrections.predecessor import read_predecessor
from totalmap.corrections.read_correction import correction_of
from totalmap.corrections.write_corrected_results import WRITERS, corrected_segmentation
from totalmap.dicom.study import read_study
from totalmap.errors import InputError
from totalmap.settings import ResultKind, Settings
from totalmap.texts.catalogue import Language, texts_in
from totalmap.trace_result import trace
from totalmap.writers.dicom import identifiers
from totalmap.writers.presentation.title_and_notices import ai_notice, title_of


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A result, and the output of its correction."""
    folder = tmp_path_factory.mktemp("corrected")
    settings = folder / "app.yaml"
    settings.write_text("results:\n  kinds: [seg, sr, rtstruct, csv]\n")
    reviewed = reviewed_result(folder)

    def write(output: Path, source: Reviewed = reviewed) -> Path:
        write_corrected_results(
            source.series.folder, source.output, edited(source), REVIEWER, settings, output
        )
        return output

    return SimpleNamespace(reviewed=reviewed, output=write(folder / "new"), write=write)


def test_a_corrected_seg_names_predecessor_person_and_the_segments_that_changed(
    written: SimpleNamespace,
) -> None:
    before = pydicom.dcmread(written.reviewed.seg, stop_before_pixels=True)
    after = pydicom.dcmread(result_in(written.output, "seg.dcm"), stop_before_pixels=True)
    (source,) = after.SourceInstanceSequence
    assert source.ReferencedSOPInstanceUID == before.SOPInstanceUID
    series = [str(item.SeriesInstanceUID) for item in after.ReferencedSeriesSequence]
    assert series[1:] == [before.SeriesInstanceUID]
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert str(after.ContentCreatorName) == "Eva Müller^"
    assert after.ContentLabel == "TM CORRECTED"
    assert "(AI, corrected, " in after.SeriesDescription
    types = {str(item.TrackingID): item.SegmentAlgorithmType for item in after.SegmentSequence}
    changed = {name for name, kind in types.items() if kind == "SEMIAUTOMATIC"}
    assert changed == {"liver", "spleen", "kidney_left"}
    assert set(types.values()) == {"SEMIAUTOMATIC", "AUTOMATIC"}
    uids = [
        {str(item.TrackingID): str(item.TrackingUID) for item in header.SegmentSequence}
        for header in (before, after)
    ]
    assert uids[0] == uids[1]


def test_a_structure_that_a_person_drew_alone_is_manual_and_names_no_network(
    written: SimpleNamespace, tmp_path: Path
) -> None:
    reviewed = written.reviewed
    absent = next(
        one for one in reviewed.segmentation.structures if one.label not in reviewed.labels
    )
    labels = reviewed.labels.copy()
    assert not labels[2:4, 1:3, 1:3].any()
    labels[2:4, 1:3, 1:3] = absent.label
    settings = written.output.parent / "app.yaml"
    write_corrected_results(
        reviewed.series.folder, reviewed.output, labels, REVIEWER, settings, tmp_path
    )
    kinds = {"seg.dcm": "Segmentation", "sr.dcm": "Comprehensive3DSR"}
    for name, iod in kinds.items():
        findings = findings_of_dciodvfy(result_in(tmp_path, name), iod)
        assert [one for one in findings if one.startswith("Error")] == []
    seg = pydicom.dcmread(result_in(tmp_path, "seg.dcm"), stop_before_pixels=True)
    (drawn,) = (one for one in seg.SegmentSequence if one.SegmentAlgorithmType == "MANUAL")
    assert drawn.TrackingID == absent.name
    assert "SegmentAlgorithmName" not in drawn
    report = pydicom.dcmread(result_in(tmp_path, "sr.dcm"))
    assert n_algorithm_names(report) == len(seg.SegmentSequence) - 1


def n_algorithm_names(item: Dataset) -> int:
    """Returns how many items with the name of an algorithm a report has."""
    concept = (item.get("ConceptNameCodeSequence") or [Dataset()])[0].get("CodeMeaning")
    below = sum(map(n_algorithm_names, item.get("ContentSequence", ())))
    return int(below) + int(concept == "Algorithm Name")


def test_a_corrected_seg_has_the_corrected_labels(written: SimpleNamespace) -> None:
    masks = labels_of(result_in(written.output, "seg.dcm"), written.reviewed)
    expected = edited(written.reviewed)
    for name, mask in masks.items():
        assert np.array_equal(mask, expected == written.reviewed.label(name))


def test_dciodvfy_finds_no_error_in_corrected_results(written: SimpleNamespace) -> None:
    for name, iod in (
        ("seg.dcm", "Segmentation"),
        ("sr.dcm", "Comprehensive3DSR"),
        ("rtstruct.dcm", "RTStructureSet"),
    ):
        findings = findings_of_dciodvfy(result_in(written.output, name), iod)
        assert [one for one in findings if one.startswith("Error")] == []


def test_the_same_correction_gives_the_same_objects_byte_for_byte(
    written: SimpleNamespace, tmp_path: Path
) -> None:
    again = written.write(tmp_path / "again")
    for name in ("seg.dcm", "sr.dcm", "rtstruct.dcm"):
        one, other = (result_in(output, name) for output in (written.output, again))
        assert one.read_bytes() == other.read_bytes()


def test_trace_names_the_seg_before_each_correction(
    written: SimpleNamespace, tmp_path: Path
) -> None:
    seg = result_in(written.output, "seg.dcm")
    before = pydicom.dcmread(written.reviewed.seg, stop_before_pixels=True)
    for name in ("seg.dcm", "sr.dcm"):
        (record,) = trace(result_in(written.output, name)).origin.corrections
        assert record.predecessors == (str(before.SOPInstanceUID),)
    twice = tmp_path / "twice"
    settings = written.output.parent / "app.yaml"
    source = written.reviewed.series.folder
    labels = written.reviewed.labels
    write_corrected_results(source, [seg], labels, REVIEWER, settings, twice)
    records = trace(result_in(twice, "seg.dcm")).origin.corrections
    assert records[0].predecessors == (str(pydicom.dcmread(seg).SOPInstanceUID),)
    assert records[1:] == trace(seg).origin.corrections


def test_verify_compares_the_labels_of_a_corrected_seg_with_those_of_its_correction(
    written: SimpleNamespace, tmp_path: Path
) -> None:
    seg = result_in(written.output, "seg.dcm")
    request = RunRequest(
        input_path=written.reviewed.series.folder,
        output_folder=tmp_path,
        models_folder=tmp_path,
        settings_file=written.output.parent / "app.yaml",
    )
    reproduction = reproduce(seg, request)
    assert reproduction.is_same
    assert reproduction.is_of_correction
    changed = pydicom.dcmread(seg)
    changed.PixelData = bytes(len(changed.PixelData))
    changed.save_as(tmp_path / "changed.dcm")
    assert not reproduce(tmp_path / "changed.dcm", request).is_same
    with pytest.raises(InputError, match="verify its SEG"):
        reproduce(result_in(written.output, "sr.dcm"), request)


@pytest.mark.parametrize(
    ("is_demo", "title"),
    [
        (False, "Corrected segmentation (total, TotalSegmentator)"),
        (True, "Corrected segmentation (demo model)"),
    ],
)
def test_pages_and_series_of_a_correction_say_that_a_person_corrected_it(
    written: SimpleNamespace, is_demo: bool, title: str
) -> None:
    reviewed = written.reviewed
    predecessor = read_predecessor(reviewed.output, read_study(reviewed.series.folder))
    predecessor = replace(predecessor, is_demo=is_demo)
    correction = correction_of(predecessor, edited(reviewed))
    segmentation = corrected_segmentation(correction, REVIEWER)
    texts = texts_in(Language.ENGLISH)
    assert title_of(segmentation, texts) == title
    assert ai_notice(segmentation, texts).startswith("AI result corrected by a person")
    assert "corrected" in identifiers.series_description(segmentation, Settings())


def test_every_kind_of_result_of_a_run_is_written_for_a_correction() -> None:
    assert set(WRITERS) == set(ResultKind)

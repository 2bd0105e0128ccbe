from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from tests.phantom.study import WrittenSeries
from totalmap import __version__
from totalmap.engine.confidence import second_opinion_task
from totalmap.engine.tasks import load_task
from totalmap.errors import InputError
from totalmap.origin_in_dicom import Origin
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, SegmentationSection, Settings, Variant
from totalmap.trace_result import trace
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.sr.writer import write_sr

SHORT_TEXT = 1024  # PS3.5 6.2, ST: Contribution Description


@pytest.fixture
def seg_path(true_segmentation: Segmentation, tmp_path: Path) -> Path:
    with open_release(tmp_path) as release:
        (result,) = write_seg(true_segmentation, Settings(), release)
        release.publish({})
    return tmp_path / result.path


def test_trace_returns_origin_and_source_of_a_seg(
    seg_path: Path, true_segmentation: Segmentation, phantom_series: WrittenSeries
) -> None:
    found = trace(seg_path)
    assert found.sop_class == "Segmentation Storage"
    assert found.description == "TotalMAP total fast (AI, unverified)"
    assert found.origin == Origin.of(true_segmentation, Settings())
    assert (found.origin.version, found.origin.device) == (__version__, "cpu")
    sources = {pydicom.dcmread(path).SOPInstanceUID for path in phantom_series.paths}
    assert set(found.instances) == sources


def test_seg_and_sr_of_a_result_name_the_licence_of_the_weights(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    (model,) = true_segmentation.models
    licensed = replace(true_segmentation, models=(replace(model, licence="CC-BY-NC-4.0"),))
    with open_release(tmp_path) as release:
        written = (
            *write_seg(licensed, Settings(), release),
            *write_sr(licensed, Settings(), release),
        )
        release.publish({})
    assert len(written) == 2
    for result in written:
        (weights,) = trace(tmp_path / result.path).origin.weights
        assert weights.licence == "CC-BY-NC-4.0"


def test_trace_has_nothing_of_the_patient(seg_path: Path) -> None:
    seg = pydicom.dcmread(seg_path)
    shown = str(trace(seg_path))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"):
        assert str(seg[keyword].value) not in shown


def test_the_origin_of_seven_networks_fits_into_its_dicom_attributes(
    true_segmentation: Segmentation,
) -> None:
    """With a second opinion on some structures, seven networks of `total` take part."""
    (model,) = true_segmentation.models
    task = load_task("total", Variant.FULL, ("liver", "vertebrae_L5", "heart", "hip_left"))
    chains = (*load_task("total", Variant.FULL).chain, *task.chain)
    others = second_opinion_task(load_task("total", Variant.FULL)).chain
    datasets = [model.dataset for each in (*chains, *others) for model in each.models]
    models = tuple(
        replace(model, dataset=dataset, licence=f"LicenseRef-{n}".ljust(40, "x"))
        for n, dataset in enumerate(dict.fromkeys(datasets))
    )
    assert len(models) == 7
    every_second = true_segmentation.structures[::2]
    origin = Origin.of(replace(true_segmentation, models=models), Settings(), every_second)
    lines = origin.lines()
    assert max(map(len, lines)) <= SHORT_TEXT
    assert Origin.read(lines) == origin
    assert origin.labels == {structure.label for structure in every_second}


def test_the_origin_in_a_result_of_an_earlier_version_is_read_without_licences(
    true_segmentation: Segmentation,
) -> None:
    origin = Origin.of(true_segmentation, Settings())
    older = Origin.read(origin.lines()[:1])
    assert older is not None
    assert (older.looked_for, older.weights[0].licence) == ("", "")
    assert older.weights[0].sha256 == origin.weights[0].sha256
    assert Origin.read(origin.lines()[1:]) is None


def test_a_result_states_where_its_networks_searched_and_an_older_one_means_everywhere(
    true_segmentation: Segmentation,
) -> None:
    origin = Origin.of(replace(true_segmentation, search="boxes"), Settings())
    how, *others = origin.lines()
    assert Origin.read([how, *others]) == origin
    assert origin.search == "boxes"
    older = Origin.read([how.replace("search boxes, ", ""), *others])
    assert older == replace(origin, search="whole")


def test_a_licence_with_odd_characters_is_written_into_a_result_in_a_readable_form(
    true_segmentation: Segmentation,
) -> None:
    (model,) = true_segmentation.models
    odd = replace(model, licence="Ours; see x, 2024 \u00a7 3")
    origin = Origin.of(replace(true_segmentation, models=(odd,)), Settings())
    assert origin.weights[0].licence == "Ours-see-x-2024-3"
    assert Origin.read(origin.lines()) == origin


def test_other_settings_give_the_origin_of_a_result_another_fingerprint() -> None:
    other = Settings(results=ResultsSection(series_description="Ours {task}"))
    assert other.fingerprint() != Settings().fingerprint()
    assert Settings().fingerprint() == Settings().fingerprint()


def test_an_accepted_licence_does_not_change_the_fingerprint_of_the_settings() -> None:
    accepting = Settings(segmentation=SegmentationSection(accepted_licences=("CC-BY-NC-4.0",)))
    assert accepting.fingerprint() == Settings().fingerprint()


def test_trace_refuses_files_that_totalmap_did_not_write(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="was not made by TotalMAP"):
        trace(phantom_series.paths[0])
    text = tmp_path / "text.txt"
    text.write_text("no DICOM")
    with pytest.raises(InputError, match="is not a DICOM file"):
        trace(text)
    with pytest.raises(InputError, match="can't be read"):
        trace(tmp_path / "absent.dcm")

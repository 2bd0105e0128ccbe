from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from tests.phantom.study import WrittenSeries
from totalmap import __version__
from totalmap.errors import InputError
from totalmap.origin import Origin
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.writers.release import open_release
from totalmap.writers.seg import write_seg
from totalmap.writers.trace import trace

SHORT_TEXT = 1024  # PS3.5 6.2, ST: Contribution Description


@pytest.fixture
def seg_path(true_segmentation: Segmentation, tmp_path: Path) -> Path:
    with open_release(tmp_path) as release:
        (result,) = write_seg(true_segmentation, Settings(), release)
        release.publish({})
    return tmp_path / result.path


def test_a_result_says_where_it_comes_from(
    seg_path: Path, true_segmentation: Segmentation, phantom_series: WrittenSeries
) -> None:
    found = trace(seg_path)
    assert found.sop_class == "Segmentation Storage"
    assert found.description == "TotalMAP total fast (AI, unverified)"
    assert found.origin == Origin.of(true_segmentation, Settings())
    assert (found.origin.version, found.origin.device) == (__version__, "cpu")
    sources = {pydicom.dcmread(path).SOPInstanceUID for path in phantom_series.paths}
    assert set(found.instances) == sources


def test_nothing_of_the_patient_is_in_it(seg_path: Path) -> None:
    seg = pydicom.dcmread(seg_path)
    shown = str(trace(seg_path))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"):
        assert str(seg[keyword].value) not in shown


def test_the_origin_of_five_networks_fits_into_its_attribute(
    true_segmentation: Segmentation,
) -> None:
    (model,) = true_segmentation.models
    names = ("part1_organs", "part2_vertebrae", "part3_cardiac", "part4_muscles", "part5_ribs")
    models = tuple(
        replace(model, dataset=f"Dataset29{n}_TotalSegmentator_{name}_1559subj")
        for n, name in enumerate(names, start=1)
    )
    origin = Origin.of(replace(true_segmentation, models=models), Settings())
    assert len(str(origin)) <= SHORT_TEXT
    assert Origin.read(str(origin)) == origin


def test_other_settings_are_another_origin() -> None:
    other = Settings(results=ResultsSection(series_description="Ours {task}"))
    assert other.fingerprint() != Settings().fingerprint()
    assert Settings().fingerprint() == Settings().fingerprint()


def test_what_others_made_is_refused(phantom_series: WrittenSeries, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was not made by TotalMAP"):
        trace(phantom_series.paths[0])
    text = tmp_path / "text.txt"
    text.write_text("no DICOM")
    with pytest.raises(InputError, match="is not a DICOM file"):
        trace(text)
    with pytest.raises(InputError, match="can't be read"):
        trace(tmp_path / "absent.dcm")

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.phantom.study import SeriesSpec, WrittenStudy, write_series, write_study
from totalmap.dicom.select import chosen_series, judge
from totalmap.dicom.study import Instance, Series, Study, read_study
from totalmap.errors import NoSuitableSeries
from totalmap.settings import SelectionSection

RULES = SelectionSection()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"), 3, size=48, n_slices=24)


@pytest.fixture(scope="module")
def study(written: WrittenStudy) -> Study:
    return read_study(written.folder)


def reason_of(study: Study, uid: str) -> str:
    return next(v.reason for v in judge(study, RULES) if v.series.uid == uid)


def test_the_thin_soft_series_wins(study: Study, written: WrittenStudy) -> None:
    verdicts = judge(study, RULES)
    assert chosen_series(verdicts).uid == written.thin_soft.series_uid
    assert [verdict.chosen for verdict in verdicts] == [True] + [False] * 4


def test_every_series_has_a_reason(study: Study, written: WrittenStudy) -> None:
    assert "24 slices every 3 mm, soft kernel" in reason_of(study, written.thin_soft.series_uid)
    assert "ranked 2 of 3" in reason_of(study, written.thick.series_uid)
    assert "sharp kernel" in reason_of(study, written.thin_sharp.series_uid)
    assert reason_of(study, written.localizer.series_uid) == "image type is LOCALIZER"
    assert "no images" in {verdict.reason for verdict in judge(study, RULES)}


def test_the_order_of_the_series_does_not_matter(study: Study) -> None:
    backwards = Study(folder=study.folder, series=study.series[::-1], ignored_files=0, warnings=())
    assert [v.series.uid for v in judge(study, RULES)] == [
        v.series.uid for v in judge(backwards, RULES)
    ]


def test_without_the_kernel_rule_the_finer_series_comes_first(
    study: Study, written: WrittenStudy
) -> None:
    verdicts = judge(study, SelectionSection(soft_kernel_first=False))
    assert [v.series.uid for v in verdicts[:3]] == [
        written.thin_soft.series_uid,
        written.thin_sharp.series_uid,
        written.thick.series_uid,
    ]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (SelectionSection(min_slices=25), "24 slices, at least 25 are needed"),
        (SelectionSection(max_slice_spacing_mm=2.0), "slices are 3 mm apart, at most 2 mm"),
        (SelectionSection(modalities=("MR",)), "modality is CT, not MR"),
    ],
)
def test_rules_reject_with_the_value_and_the_limit(
    study: Study, rules: SelectionSection, reason: str
) -> None:
    with pytest.raises(NoSuitableSeries, match=reason):
        chosen_series(judge(study, rules))


def test_slices_without_position_are_rejected(tmp_path: Path) -> None:
    written = write_series(tmp_path, 3, SeriesSpec(rows=16, columns=16, n_slices=12))
    dataset = pydicom.dcmread(written.paths[5])
    del dataset.ImagePositionPatient
    dataset.save_as(written.paths[5])
    with pytest.raises(NoSuitableSeries, match="without position"):
        chosen_series(judge(read_study(tmp_path), RULES))


@pytest.mark.parametrize(
    ("kernel", "is_sharp"),
    [
        ("Br38f", False),
        ("B30s", False),
        ("B70f", True),
        ("Bl57d", True),
        ("Hr60", True),
        ("STANDARD", False),
        ("SOFT", False),
        ("LUNG", True),
        ("BONEPLUS", True),
        ("FC08", False),
    ],
)
def test_kernels_of_several_vendors(kernel: str, is_sharp: bool) -> None:
    instances = tuple(
        Instance(path=Path(str(k)), header=header(kernel, float(k))) for k in range(12)
    )
    study = Study(
        folder=Path(),
        series=(Series(uid="1", instances=instances),),
        ignored_files=0,
        warnings=(),
    )
    (verdict,) = judge(study, RULES)
    assert ("sharp kernel" in verdict.reason) is is_sharp


def header(kernel: str, z_mm: float) -> Dataset:
    dataset = Dataset()
    dataset.Modality = "CT"
    dataset.Rows = dataset.Columns = 16
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ConvolutionKernel = kernel
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, z_mm]
    return dataset

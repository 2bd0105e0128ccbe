import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import segmentation_of, volume_of
from tests.validators import findings_of_dciodvfy
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.dicom.header import derived_header
from totalmap.writers.preview.writer import write_preview
from totalmap.writers.rtstruct.writer import write_rtstruct
from totalmap.writers.seg.binary import KIND as SEG
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.sr.writer import write_sr

# The limits that structures touch are coded in our scheme, of which dciodvfy does not know.
OWN_SCHEME = "<99TOTALMAP>"


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    spec = SeriesSpec(
        rows=24, columns=24, n_slices=3, slice_spacing_mm=6.0, pixel_spacing_mm=(17.5, 17.5)
    )
    return write_series(tmp_path_factory.mktemp("names"), 1, spec)


def results_of(series: WrittenSeries, source: Dataset, folder: Path) -> dict[str, Path]:
    """Writes SR and SEG of a series whose files all got some attributes, by dciodvfy's IOD."""
    study = shutil.copytree(series.folder, folder / "study")
    for path in study.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.update(source)
        dataset.save_as(path)
    copy = WrittenSeries(
        spec=series.spec,
        folder=study,
        series_uid=series.series_uid,
        paths=tuple(study / path.name for path in series.paths),
        sop_uids=series.sop_uids,
        hu=series.hu,
        labels=series.labels,
    )
    segmentation = segmentation_of(copy)
    with open_release(folder / "out") as release:
        (sr,) = write_sr(segmentation, Settings(), release)
        (seg,) = write_seg(segmentation, Settings(), release)
        release.publish({})
    return {
        "Comprehensive3DSR": folder / "out" / sr.path,
        "Segmentation": folder / "out" / seg.path,
    }


def with_request(folder: Path) -> Dataset:
    """Adds the request, the institution and the patient's weight to all files of a series."""
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "P 1", "S 1"
    request.RequestedProcedureDescription = "CT abdomen"
    source = Dataset()
    source.RequestAttributesSequence = [request]
    source.InstitutionName, source.InstitutionalDepartmentName = "Hospital A", "Radiology"
    source.IssuerOfPatientID, source.StudyDescription = "Ward A", "Abdomen"
    source.PatientWeight = "81.5"
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.update(source)
        dataset.save_as(path)
    return pydicom.dcmread(path)


def test_the_request_institution_and_body_part_are_carried_into_every_kind_of_result(
    true_segmentation: Segmentation, phantom_copy: Path, tmp_path: Path
) -> None:
    source = with_request(phantom_copy)
    segmentation = replace(true_segmentation, volume=volume_of(phantom_copy))
    with open_release(tmp_path / "out") as release:
        written = [
            write(segmentation, Settings(), release)[0]
            for write in (write_seg, write_sr, write_rtstruct, write_preview)
        ]
        release.publish({})
    seg, sr, rtstruct, page = (pydicom.dcmread(tmp_path / "out" / item.path) for item in written)
    for result in (seg, sr, rtstruct, page):
        assert result.InstitutionName == source.InstitutionName
        assert result.InstitutionalDepartmentName == source.InstitutionalDepartmentName
        assert result.PatientWeight == source.PatientWeight
    for result in (seg, rtstruct, page):
        assert result.RequestAttributesSequence == source.RequestAttributesSequence
    (request,) = sr.ReferencedRequestSequence
    assert request.RequestedProcedureDescription == "CT abdomen"
    assert request.AccessionNumber == source.AccessionNumber
    assert seg.BodyPartExamined == page.BodyPartExamined == source.BodyPartExamined
    iods = ("Segmentation", "Comprehensive3DSR", "RTStructureSet", "SCImage")
    for item, iod in zip(written, iods, strict=True):
        assert findings_of(tmp_path / "out" / item.path, iod) == []


def test_results_of_an_undated_study_have_the_date_of_the_run(
    true_segmentation: Segmentation, phantom_copy: Path
) -> None:
    for path in phantom_copy.iterdir():
        dataset = pydicom.dcmread(path)
        for element in list(dataset):
            if element.VR in ("DA", "TM"):
                dataset[element.tag].value = ""
        dataset.save_as(path)
    undated = replace(true_segmentation, volume=volume_of(phantom_copy))
    before, header, after = _today(), derived_header(undated, Settings(), SEG), _today()
    assert header.ContentDate in (before, after)
    assert header.ContentTime == "000000"
    for path in phantom_copy.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.SeriesDate, dataset.SeriesTime = "20260103", "101500"
        dataset.save_as(path)
    dated = replace(true_segmentation, volume=volume_of(phantom_copy))
    header = derived_header(dated, Settings(), SEG)
    assert (header.ContentDate, header.ContentTime) == ("20260103", "101500")


@pytest.mark.parametrize("time", ["", "25:99"])
def test_a_dated_study_without_a_valid_time_gives_a_result_at_midnight(
    true_segmentation: Segmentation, phantom_copy: Path, time: str
) -> None:
    for path in phantom_copy.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.StudyTime = time
        dataset.save_as(path)
    untimed = replace(true_segmentation, volume=volume_of(phantom_copy))
    header = derived_header(untimed, Settings(), SEG)
    assert header.ContentDate == header.StudyDate != ""
    assert header.ContentTime == "000000"


def _today() -> str:
    return f"{datetime.now().astimezone():%Y%m%d}"


def findings_of(path: Path, iod: str) -> list[str]:
    return [finding for finding in findings_of_dciodvfy(path, iod) if OWN_SCHEME not in finding]


NAMES = {
    "Japanese, ISO 2022": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Japanese, half width": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    "Korean, ISO 2022": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Latin, ISO 2022": (["ISO 2022 IR 6", "ISO 2022 IR 100"], "Buc^Jérôme"),
    "Greek": ("ISO_IR 126", "Διονυσίου^Άννα"),
    "Arabic": ("ISO_IR 127", "قباني^لنزار"),
    "Unicode": ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
    "Chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
}


@pytest.mark.parametrize(("character_set", "name"), NAMES.values(), ids=NAMES)
def test_patient_names_of_any_script_are_copied_unchanged_into_results(
    series: WrittenSeries, tmp_path: Path, character_set: str | list[str], name: str
) -> None:
    source = Dataset()
    source.SpecificCharacterSet = character_set
    source.PatientName = name
    source.PatientComments = source.StudyDescription = name.rpartition("=")[2]
    other = Dataset()
    other.PatientID, other.IssuerOfPatientID, other.TypeOfPatientID = "1", "Ward A", "TEXT"
    source.OtherPatientIDsSequence = [other]
    for iod, path in results_of(series, source, tmp_path).items():
        result = pydicom.dcmread(path)
        assert result.SpecificCharacterSet == character_set
        assert str(result.PatientName) == name
        assert str(result.PatientName).split("=") == list(result.PatientName.components)
        assert result.PatientComments == result.StudyDescription == source.PatientComments
        assert result.OtherPatientIDsSequence == source.OtherPatientIDsSequence
        assert result.SeriesDescription.startswith("TotalMAP total fast ")
        assert result.SeriesDescription.endswith("(AI, unverified)")
        assert findings_of(path, iod) == []


def test_sequences_of_the_patient_are_copied_in_full_into_results(
    series: WrittenSeries, tmp_path: Path
) -> None:
    issuer = Dataset()
    issuer.UniversalEntityID, issuer.UniversalEntityIDType = "1.2.3.4", "ISO"
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "12ÄÖ", "TEXT"
    other.IssuerOfPatientIDQualifiersSequence = [issuer]
    method = Dataset()
    method.CodeValue, method.CodingSchemeDesignator = "113100", "DCM"
    method.CodeMeaning = "Basic Application Confidentiality Profile"
    source = Dataset()
    source.SpecificCharacterSet = "ISO_IR 100"
    source.IssuerOfPatientIDQualifiersSequence = [issuer]
    source.OtherPatientIDsSequence = [other, other]
    source.PatientIdentityRemoved = "YES"
    source.DeidentificationMethodCodeSequence = [method]
    for iod, path in results_of(series, source, tmp_path).items():
        result = pydicom.dcmread(path)
        for element in source:
            assert result[element.tag].value == element.value
        assert findings_of(path, iod) == []


@pytest.mark.filterwarnings("ignore:Failed to decode")
def test_attributes_with_undecodable_bytes_are_left_out_of_results(
    series: WrittenSeries, tmp_path: Path
) -> None:
    """Such a name would be written as question marks, as if these were the name."""
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "1", "TEXT"
    other.add_new("IssuerOfPatientID", "LO", b"Ward \xff")
    source = Dataset()
    source.SpecificCharacterSet = "ISO_IR 126"
    source.add_new("PatientID", "LO", b"12\xff3")
    source.OtherPatientIDsSequence = [other]
    for path in results_of(series, source, tmp_path).values():
        result = pydicom.dcmread(path)
        assert result.PatientID in ("", None)
        assert "OtherPatientIDsSequence" not in result
        assert result.PatientName == "PHANTOM^TOTALMAP"


def _item() -> Dataset:
    item = Dataset()
    item.PatientID, item.TypeOfPatientID = "1", "TEXT"
    return item


def _private() -> Dataset:
    item = _item()
    item.add_new(0x00091001, "LO", "nobody knows")
    return item


def _deep() -> Dataset:
    item = _item()
    for _ in range(20):
        outer = _item()
        outer.OtherPatientIDsSequence = [item]
        item = outer
    return item


def _strange_characters() -> Dataset:
    item = _item()
    item.SpecificCharacterSet = "ISO_IR 999"
    return item


@pytest.mark.filterwarnings("ignore:Unknown encoding")
@pytest.mark.parametrize("item", [_private, _deep, _strange_characters])
def test_unreadable_sequences_of_the_patient_are_left_out_of_results(
    series: WrittenSeries, tmp_path: Path, item: Callable[[], Dataset]
) -> None:
    source = Dataset()
    source.OtherPatientIDsSequence = [_item(), item()]
    for path in results_of(series, source, tmp_path).values():
        assert "OtherPatientIDsSequence" not in pydicom.dcmread(path)

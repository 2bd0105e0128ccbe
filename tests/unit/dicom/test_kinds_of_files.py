"""Tests unusual files of vendors, converters and de-identifiers: read, or refused with the reason.

Sources: pydicom#815, pydicom#736, pynetdicom#201 and dicomParser#89 (character sets), Slicer#7987
(negative Spacing Between Slices), PS3.3 C.7.6.24 (Float Pixel Data), PS3.3 C.11.1 (Modality LUT);
de-identifiers that empty Modality.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedMRImageStorage

from tests.phantom import write_enhanced
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from totalmap.dicom.instance import read_dataset
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.errors import NoSuitableSeries
from totalmap.quality.suitability.assess_suitability import assess_suitability
from totalmap.selection_settings import SelectionSection
from totalmap.settings import GeometrySection
from totalmap.writers.dicom.copied_attributes import patient_and_study

SMALL = SeriesSpec(rows=32, columns=32, n_slices=40, pixel_spacing_mm=(13.0, 13.0), scanner=None)

Change = Callable[[Dataset], None]

GERMAN, CHINESE = "Müller^Jürgen", "王^小东"
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
KOREAN = "Hong^Gildong=洪^吉洞=홍^길동"


def iso_2022(text: str, encoding: str, escape: bytes = b"") -> bytes:
    """Returns a name of three groups, with an escape sequence in each component but the first."""
    latin, *groups = text.split("=")
    coded = [
        b"^".join(escape + component.encode(encoding) for component in group.split("^"))
        for group in groups
    ]
    return b"=".join([latin.encode(), *coded])


# Specific Character Set and the bytes of the name.
CHARACTER_SETS: dict[str, tuple[bytes | None, bytes]] = {
    "GB18030": (b"GB18030", CHINESE.encode("gb18030")),
    "GB18030 undeclared": (None, CHINESE.encode("gb18030")),
    "Latin-1 undeclared": (None, GERMAN.encode("latin-1")),
    "UTF-8 undeclared": (None, GERMAN.encode()),
    "Latin-1 declared ASCII": (b"ISO_IR 6", GERMAN.encode("latin-1")),
    "Latin-1 misspelt": (b"ISO-IR 100", GERMAN.encode("latin-1")),
    "UTF-8 misspelt": (b"UTF-8", GERMAN.encode()),
    "GB2312 without escapes": (b"ISO 2022 IR 58", CHINESE.encode("gb18030")),
    "Japanese": (b"\\ISO 2022 IR 87", iso_2022(JAPANESE, "iso2022_jp")),
    "Korean": (b"\\ISO 2022 IR 149", iso_2022(KOREAN, "euc_kr", b"\x1b$)C")),
    "Not Supplied": (b"Not Supplied", GERMAN.encode("latin-1")),
    "GB18030 and UTF-8": (b"GB18030\\ISO IR 192", CHINESE.encode("gb18030")),
    "ASCII misspelt": (b"ISO_2022_IR_6", b"Mueller^J"),
    "GBK declared Latin-1": (b"ISO_IR 100", CHINESE.encode("gb18030")),
}
# What a result has to say; names in an undeclared character set may be left out.
NAMES = {
    "GB18030": CHINESE,
    "Latin-1 misspelt": GERMAN,
    "Japanese": JAPANESE,
    "Korean": KOREAN,
    "GB18030 and UTF-8": CHINESE,
    "ASCII misspelt": "Mueller^J",
}


def change_files(written: WrittenSeries, change: Change) -> None:
    for path in written.paths:
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)


def raw(keyword: str, vr: str, value: bytes) -> RawDataElement:
    padded = value + b" " * (len(value) % 2)
    return RawDataElement(Tag(keyword), vr, len(padded), padded, 0, False, True)


def chosen_volume(folder: Path, modality: str = "CT") -> Volume:
    (rule,) = SelectionSection().rules
    rules = SelectionSection(rules=(rule.model_copy(update={"modalities": (modality,)}),))
    (selection,) = selected(judge(read_study(folder), rules, GeometrySection()))
    return build_volume(selection, GeometrySection())


@pytest.fixture
def written(tmp_path: Path) -> WrittenSeries:
    """A small CT, to be spoilt."""
    return write_series(tmp_path, 1, SMALL)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", CHARACTER_SETS)
def test_a_patient_name_in_any_character_set_is_carried_over_or_left_out(
    kind: str, written: WrittenSeries
) -> None:
    character_set, name = CHARACTER_SETS[kind]

    def change(dataset: Dataset) -> None:
        del dataset.SpecificCharacterSet
        if character_set is not None:
            dataset[Tag("SpecificCharacterSet")] = raw("SpecificCharacterSet", "CS", character_set)
        dataset[Tag("PatientName")] = raw("PatientName", "PN", name)
        encodings = dataset._character_set  # or pydicom would encode the name anew
        dataset.set_original_encoding(False, True, encodings)

    change_files(written, change)
    assert name in written.paths[0].read_bytes()
    volume = chosen_volume(written.folder)
    assert np.array_equal(volume.voxels, written.hu)
    carried = patient_and_study(read_dataset(volume.slices[0].instance))
    assert carried.PatientID
    if kind in NAMES:
        assert carried.PatientName == NAMES[kind]


def test_the_modality_of_a_ct_series_without_one_comes_from_its_sop_class(
    written: WrittenSeries,
) -> None:
    change_files(written, lambda dataset: setattr(dataset, "Modality", ""))
    volume = chosen_volume(written.folder)
    assert volume.modality == "CT"
    assert np.array_equal(volume.voxels, written.hu)


def test_the_modality_of_an_mr_series_without_one_comes_from_its_sop_class(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, replace(SMALL, modality="MR"))
    change_files(written, lambda dataset: setattr(dataset, "Modality", ""))
    assert chosen_volume(tmp_path, "MR").modality == "MR"
    with pytest.raises(NoSuitableSeries, match="modality is MR, not CT"):
        chosen_volume(tmp_path)


@pytest.mark.parametrize(
    ("sop_class", "modality"),
    [(EnhancedCTImageStorage, "CT"), (LegacyConvertedEnhancedMRImageStorage, "MR")],
)
def test_the_modality_of_a_multi_frame_file_without_one_comes_from_its_sop_class(
    sop_class: str, modality: str, tmp_path: Path
) -> None:
    enhanced = write_enhanced(tmp_path, 1, SMALL)

    def change(dataset: Dataset) -> None:
        dataset.Modality = ""
        dataset.SOPClassUID = sop_class

    change_files(enhanced, change)
    assert chosen_volume(tmp_path, modality).modality == modality


def test_an_empty_modality_with_a_sop_class_of_neither_ct_nor_mr_is_refused(
    written: WrittenSeries,
) -> None:
    def change(dataset: Dataset) -> None:
        dataset.Modality = ""
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture

    change_files(written, change)
    with pytest.raises(NoSuitableSeries, match="modality is empty, not CT"):
        chosen_volume(written.folder)


@pytest.mark.parametrize(("keyword", "dtype"), [("Float", "<f4"), ("DoubleFloat", "<f8")])
def test_floating_point_pixels_are_refused_with_this_reason(
    keyword: str, dtype: str, written: WrittenSeries
) -> None:
    def change(dataset: Dataset) -> None:
        values = dataset.pixel_array.astype(dtype)
        del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
        setattr(dataset, f"{keyword}PixelData", values.tobytes())
        dataset.BitsAllocated = 8 * values.itemsize

    change_files(written, change)
    with pytest.raises(NoSuitableSeries, match="pixels are floating-point numbers"):
        chosen_volume(written.folder)


def test_a_series_with_a_modality_lut_is_refused(written: WrittenSeries) -> None:
    """Without its table the stored values would be taken for HU, 1024 too high."""

    def change(dataset: Dataset) -> None:
        del dataset.RescaleSlope, dataset.RescaleIntercept
        table = Dataset()
        table.add_new("LUTDescriptor", "SS", [4096, 0, 16])
        table.ModalityLUTType = "HU"
        table.add_new("LUTData", "OW", (np.arange(4096) - 1024).astype("<i2").tobytes())
        dataset.ModalityLUTSequence = [table]

    change_files(written, change)
    with pytest.raises(NoSuitableSeries, match="a Modality LUT Sequence, which is not applied"):
        chosen_volume(written.folder)


def test_slice_positions_override_a_negative_spacing_and_an_outdated_gantry_tilt(
    written: WrittenSeries,
) -> None:
    """Only positions count: Slice Location is upside down, and no slice is sheared."""

    def change(dataset: Dataset) -> None:
        dataset.SpacingBetweenSlices = "-3"
        dataset.SliceLocation = -float(dataset.ImagePositionPatient[2])
        dataset.GantryDetectorTilt = "20"
        dataset.PatientPosition = "FFP"

    change_files(written, change)
    volume = chosen_volume(written.folder)
    assert np.array_equal(volume.voxels, written.hu)
    assert volume.geometry.tilt_degrees == pytest.approx(0.0)
    assert volume.geometry.spacing_mm[2] == pytest.approx(SMALL.slice_spacing_mm)
    assert volume.findings == ()


@pytest.mark.parametrize(
    "values",
    [
        {"PatientAge": "000Y", "PatientIdentityRemoved": "YES"},
        {"PatientBirthDate": "19000101", "PatientIdentityRemoved": "YES"},
        {"PatientBirthDate": "19000101", "DeidentificationMethod": "CTP"},
        {"PatientBirthDate": "", "PatientAge": "000Y"},
    ],
)
def test_an_age_of_zero_after_de_identification_gives_no_child_finding(
    values: dict[str, str], written: WrittenSeries
) -> None:
    def change(dataset: Dataset) -> None:
        dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "19000101"
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    change_files(written, change)
    findings = assess_suitability(chosen_volume(written.folder), "total")
    assert "CHILD" not in {finding.code for finding in findings}

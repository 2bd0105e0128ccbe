"""Tests what is read from the header of one file."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    MRImageStorage,
)

from tests.phantom import WrittenSeries, write_enhanced, write_series, write_study
from tests.phantom.dose_report import write_dose_report
from tests.transfer_syntaxes import ALL_SYNTAXES, NATIVE, transcode
from tests.unit.dicom.instance_files import (
    BYTES,
    SPEC,
    change,
    fault_of,
    instance_of,
    keyword,
)
from totalmap.dicom.derived_uids import derived_uid
from totalmap.dicom.frame import Rescale
from totalmap.dicom.geometry import Plane
from totalmap.dicom.instance import (
    missing_uids,
    read_dataset,
    read_instance,
)


def test_the_header_of_a_classic_ct_is_read(series: WrittenSeries, path: Path) -> None:
    instance = instance_of(path)
    (frame,) = instance.frames
    assert instance.path == path
    assert instance.sop_class_uid == CTImageStorage
    assert instance.sop_instance_uid == series.sop_uids[1]
    assert instance.series_instance_uid == series.series_uid
    assert instance.repaired_uids == ()
    assert (instance.modality, instance.body_part) == ("CT", "ABDOMEN")
    assert (instance.series_number, instance.series_description) == (7, SPEC.description)
    assert (instance.rows, instance.columns) == (36, 40)
    assert (instance.pixels.samples, instance.pixels.is_signed) == (1, False)
    assert (instance.pixels.bits_allocated, instance.pixels.bits_stored) == (16, 12)
    assert instance.pixels.padding is None
    assert (frame.number, frame.instance_number, frame.fault) == (1, 2, "")
    assert frame.plane == Plane(
        position_mm=tuple(float(value) for value in pydicom.dcmread(path).ImagePositionPatient),
        cosines=SPEC.orientation,
        pixel_spacing_mm=(10.0, 9.0),
    )
    assert frame.rescale == Rescale(slope=1.0, intercept=-1024.0)
    assert (frame.slice_thickness_mm, frame.kvp, frame.kernel) == (3.0, 120.0, "B30F")
    assert frame.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert (frame.acquisition_number, frame.acquisition_time) == (1, "20200304101112")
    assert not frame.has_contrast


def test_an_enhanced_ct_has_a_frame_for_each_slice(enhanced: WrittenSeries) -> None:
    instance = instance_of(enhanced.paths[0])
    assert instance.sop_class_uid == EnhancedCTImageStorage
    assert [frame.number for frame in instance.frames] == [1, 2, 3]
    assert [frame.instance_number for frame in instance.frames] == [1, 2, 3]
    assert {frame.fault for frame in instance.frames} == {""}
    for frame, position in zip(instance.frames, SPEC.positions_lps_mm, strict=True):
        assert frame.plane is not None
        assert frame.plane.position_mm == pytest.approx(position, abs=1e-6)
        assert frame.plane.pixel_spacing_mm == (10.0, 9.0)
        assert frame.rescale == Rescale(slope=1.0, intercept=-1024.0)
        assert (frame.kernel, frame.kvp) == ("B30F", 120.0)
        assert frame.image_type == ("ORIGINAL", "PRIMARY", "VOLUME", "NONE")


def test_frames_of_an_enhanced_ct_have_the_time_point_of_their_phase(tmp_path: Path) -> None:
    written = write_enhanced(tmp_path, 1, SPEC, phases=2)
    frames = instance_of(written.paths[0]).frames
    assert [frame.temporal_position for frame in frames] == [1, 1, 1, 2, 2, 2]
    assert [frame.acquisition_number for frame in frames] == [1, 1, 1, 2, 2, 2]
    assert len({frame.acquisition_time for frame in frames}) == 2


def test_an_mr_has_an_echo_time_and_no_rescale(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, replace(SPEC, modality="MR"))
    instance = instance_of(written.paths[0])
    (frame,) = instance.frames
    assert (instance.modality, instance.sop_class_uid) == ("MR", MRImageStorage)
    assert (frame.echo_time_ms, frame.rescale, frame.kvp, frame.fault) == (2.3, None, None, "")


def test_a_localizer_is_read_as_an_image_and_a_dose_report_without_frames(tmp_path: Path) -> None:
    study = write_study(tmp_path, 1, size=32, n_slices=4)
    (frame,) = instance_of(study.localizer.paths[0]).frames
    assert "LOCALIZER" in frame.image_type
    assert frame.plane is not None
    assert frame.plane.orientation == "coronal"
    report = instance_of(study.dose_report)
    assert (report.modality, report.frames, report.rows) == ("SR", (), 0)
    assert missing_uids(report) == ()


def test_a_contrast_agent_is_found_in_either_attribute(path: Path) -> None:
    change(path, ContrastBolusAgent="Iomeprol")
    assert instance_of(path).frames[0].has_contrast
    agent = Dataset()
    agent.CodeMeaning = "Iomeprol"
    change(path, ContrastBolusAgent="", ContrastBolusAgentSequence=[agent])
    assert instance_of(path).frames[0].has_contrast


@pytest.mark.parametrize("content", [b"", b"no DICOM", b"\0" * 1000])
def test_a_file_that_is_not_dicom_gives_no_instance(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    assert read_instance(file) is None


def test_a_dicomdir_gives_no_instance(series: WrittenSeries, tmp_path: Path) -> None:
    files = FileSet()
    for path in series.paths:
        files.add(path)
    files.write(tmp_path / "media")
    assert read_instance(tmp_path / "media" / "DICOMDIR") is None


def test_a_dicom_file_without_class_and_modality_is_broken(path: Path) -> None:
    change(path, SOPClassUID="")
    assert instance_of(path).modality == "CT"
    change(path, Modality="")
    with pytest.raises(ValueError, match="neither SOP Class UID nor Modality"):
        read_instance(path)


@pytest.mark.parametrize("syntax", NATIVE, ids=keyword)
@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_a_dicom_header_is_the_same_in_every_native_transfer_syntax(
    series: WrittenSeries, enhanced: WrittenSeries, kind: str, syntax: UID
) -> None:
    file = series.paths[1] if kind == "classic" else enhanced.paths[0]
    before = instance_of(file)
    transcode(file, syntax)
    after = instance_of(file)
    assert after.pixels.transfer_syntax == syntax
    assert after == replace(before, pixels=after.pixels)


@pytest.mark.parametrize("syntax", ALL_SYNTAXES, ids=keyword)
def test_the_offset_of_native_pixels_in_a_dicom_file_is_known(path: Path, syntax: UID) -> None:
    transcode(path, syntax)
    offset = instance_of(path).pixels.offset
    if syntax.is_encapsulated or syntax == DeflatedExplicitVRLittleEndian:
        assert offset is None
    else:
        assert offset is not None
        pixels = path.read_bytes()[offset : offset + BYTES]
        assert pixels == pydicom.dcmread(path).PixelData


@pytest.mark.parametrize("size", [60_000, 65_500, 65_536, 70_000, 300_000])
@pytest.mark.parametrize("syntax", NATIVE, ids=keyword)
def test_a_long_dicom_header_does_not_change_frames_and_pixels(
    path: Path, syntax: UID, size: int
) -> None:
    before = instance_of(path)
    change(path, SourceImageSequence=[_filler(size)])
    transcode(path, syntax)
    after = instance_of(path)
    assert after.frames == before.frames
    if after.pixels.offset is not None:
        pixels = path.read_bytes()[after.pixels.offset :][:BYTES]
        assert pixels == pydicom.dcmread(path).PixelData


@pytest.mark.parametrize("length", range(60_000 - 40, 60_000 + 40, 2))
def test_pixels_are_found_after_a_dicom_header_of_any_length(path: Path, length: int) -> None:
    header = path.read_bytes().index(b"\xe0\x7f\x10\x00OW")
    change(path, SourceImageSequence=[_filler(length - header + 65_536 - 60_000)])
    offset = instance_of(path).pixels.offset
    assert offset is not None
    assert path.read_bytes()[offset : offset + BYTES] == pydicom.dcmread(path).PixelData
    assert fault_of(path) == ""


def _filler(size: int) -> Dataset:
    made = Dataset()
    made.add_new(0x00420011, "OB", b"\0" * (size - size % 2))
    return made


@pytest.mark.parametrize(
    ("values", "padding"),
    [
        ({"PixelPaddingValue": 63536}, (63536, 63536)),
        ({"PixelPaddingValue": 10, "PixelPaddingRangeLimit": 20}, (10, 20)),
        ({"PixelPaddingValue": 20, "PixelPaddingRangeLimit": 10}, (10, 20)),
        ({"PixelPaddingRangeLimit": 10}, None),
    ],
)
def test_pixel_padding_value_and_limit_give_a_range(
    path: Path, values: dict[str, int], padding: tuple[int, int] | None
) -> None:
    dataset = pydicom.dcmread(path)
    for name, value in values.items():
        dataset.add_new(name, "US", value)
    dataset.save_as(path)
    assert instance_of(path).pixels.padding == padding


def test_missing_uids_are_named_and_derived_uids_are_put_into_the_dataset(path: Path) -> None:
    change(path, StudyInstanceUID="", FrameOfReferenceUID="")
    instance = instance_of(path)
    assert missing_uids(instance) == ("StudyInstanceUID", "FrameOfReferenceUID")
    repaired = replace(
        instance,
        study_instance_uid=derived_uid("study"),
        frame_of_reference_uid=derived_uid("frame"),
        repaired_uids=missing_uids(instance),
    )
    dataset = read_dataset(repaired)
    assert dataset.StudyInstanceUID == derived_uid("study")
    assert dataset.FrameOfReferenceUID == derived_uid("frame")
    assert dataset.SeriesInstanceUID == instance.series_instance_uid
    assert "PixelData" not in dataset
    assert len(read_dataset(repaired, with_pixels=True).PixelData) == BYTES


def test_a_structured_report_needs_no_frame_of_reference(tmp_path: Path) -> None:
    report = instance_of(write_dose_report(tmp_path / "report.dcm", 1))
    assert report.frame_of_reference_uid == ""
    assert missing_uids(report) == ()

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.uid import SegmentationStorage
from totalsegmentator.map_to_binary import class_map

from tests.phantom import write_enhanced
from tests.phantom.study import CORONAL, SAGITTAL, SeriesSpec, WrittenSeries, write_series
from tests.readers import read_by_dcmqi, read_by_highdicom
from tests.segmentations import segmentation_of
from tests.validators import findings_of_dciodvfy
from totalmap.dicom.geometry import to_canonical
from totalmap.dicom.series_selection import Selection
from totalmap.dicom.slice_audit import audit_stack
from totalmap.dicom.stacks import split_into_stacks
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import build_volume
from totalmap.display_names import display_name
from totalmap.errors import OutputError
from totalmap.result_options import SegTransferSyntax
from totalmap.segmentation import Segmentation
from totalmap.settings import GeometrySection, ResultsSection, Settings
from totalmap.structures import Structure
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.dicom.copied_attributes import CARRIED_OVER
from totalmap.writers.seg.binary import encode_segs, write_seg
from totalmap.writers.seg.read_back import compare_seg

POLICY = GeometrySection()
# Columns that are not a multiple of 8: frames begin in the middle of a byte.
SMALL = SeriesSpec(rows=34, columns=37, n_slices=20, slice_spacing_mm=6.0)


def with_results(**results: Any) -> Settings:
    return Settings(results=ResultsSection(**results))


def written_seg(segmentation: Segmentation, folder: Path, **results: Any) -> Path:
    with open_release(folder) as release:
        (result,) = write_seg(segmentation, with_results(**results), release)
        release.publish({})
    return folder / result.path


@pytest.fixture(scope="module")
def seg_path(true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_seg(true_segmentation, tmp_path_factory.mktemp("seg"))


def test_seg_has_one_coded_segment_for_each_structure(
    seg_path: Path, true_segmentation: Segmentation
) -> None:
    seg = pydicom.dcmread(seg_path)
    names = [found.structure.name for found in true_segmentation.found()]
    assert [segment.TrackingID for segment in seg.SegmentSequence] == names
    labels = [segment.SegmentLabel for segment in seg.SegmentSequence]
    assert labels == [display_name(name) for name in names]
    assert "Left kidney" in labels
    by_name = {segment.TrackingID: segment for segment in seg.SegmentSequence}
    left = by_name["kidney_left"].SegmentedPropertyTypeCodeSequence[0]
    right = by_name["kidney_right"].SegmentedPropertyTypeCodeSequence[0]
    assert left.CodeValue == right.CodeValue == "64033007"
    assert left.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert right.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    family = by_name["liver"].SegmentationAlgorithmIdentificationSequence[0]
    assert family.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"


def test_seg_refers_to_its_source(seg_path: Path, phantom_series: WrittenSeries) -> None:
    seg = pydicom.dcmread(seg_path)
    source = pydicom.dcmread(phantom_series.paths[0])
    assert seg.SOPClassUID == SegmentationStorage
    assert seg.SegmentationType == "BINARY"
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "Rows", "Columns"):
        assert seg[keyword].value == source[keyword].value
    referenced = {
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for frame in seg.PerFrameFunctionalGroupsSequence
    }
    assert referenced <= set(phantom_series.sop_uids)
    assert "unverified" in seg.SeriesDescription


ORIENTATIONS = {
    "axial": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "upside down": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "row to the right": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "oblique": (1.0, 0.0, 0.0, 0.0, 0.8, -0.6),
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
}


@pytest.mark.parametrize("syntax", SegTransferSyntax)
@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_highdicom_and_dcmqi_read_the_seg_in_any_orientation(
    tmp_path: Path,
    orientation: tuple[float, float, float, float, float, float],
    syntax: SegTransferSyntax,
) -> None:
    spec = replace(
        SMALL, pixel_spacing_mm=(11.0, 10.0), orientation=orientation, file_order="shuffled"
    )
    written = write_series(tmp_path / "study", 1, spec)
    path = written_seg(segmentation_of(written), tmp_path / "out", seg_transfer_syntax=syntax)
    np.testing.assert_array_equal(read_by_highdicom(path, written), written.labels)
    np.testing.assert_array_equal(read_by_dcmqi(path, tmp_path / "dcmqi", written), written.labels)
    if syntax is SegTransferSyntax.NATIVE:
        assert findings_of_dciodvfy(path) == []


@pytest.mark.parametrize("phase", [1, 2])
def test_seg_frames_name_the_frames_of_a_multi_frame_source(tmp_path: Path, phase: int) -> None:
    spec = replace(SMALL, pixel_spacing_mm=(11.0, 10.0), file_order="shuffled")
    written = write_enhanced(tmp_path / "study", 1, spec, phases=2)
    (volume,) = [
        build_volume(Selection(folder="", stack=stack, audit=audit_stack(stack, POLICY)), POLICY)
        for stack in split_into_stacks(*read_study(written.folder).series)
        if stack.number == phase
    ]
    segmentation = replace(segmentation_of(written), volume=volume)
    path = written_seg(segmentation, tmp_path / "out")
    seg = pydicom.dcmread(path)
    source = pydicom.dcmread(written.paths[0])
    for group in seg.PerFrameFunctionalGroupsSequence:
        (item,) = group.DerivationImageSequence[0].SourceImageSequence
        frame = source.PerFrameFunctionalGroupsSequence[item.ReferencedFrameNumber - 1]
        assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert frame.FrameContentSequence[0].TemporalPositionIndex == phase
        assert (
            frame.PlanePositionSequence[0].ImagePositionPatient
            == group.PlanePositionSequence[0].ImagePositionPatient
        )
    np.testing.assert_array_equal(read_by_highdicom(path, written), written.labels)
    np.testing.assert_array_equal(read_by_dcmqi(path, tmp_path / "dcmqi", written), written.labels)
    assert findings_of_dciodvfy(path) == []


def test_each_phase_of_a_source_has_its_own_seg_series(tmp_path: Path) -> None:
    written = write_enhanced(tmp_path / "study", 1, SMALL, phases=2)
    segmentation = segmentation_of(written)
    first, second = split_into_stacks(*read_study(written.folder).series)
    uids = {
        identifiers.series_uid(
            replace(segmentation, volume=replace(segmentation.volume, slices=stack.slices)),
            Settings(),
            "seg",
        )
        for stack in (first, second)
    }
    assert len(uids) == 2


def test_source_without_patient_attributes_gives_a_valid_seg(tmp_path: Path) -> None:
    """Anonymisers remove attributes that the standard requires, even if empty."""
    written = write_series(tmp_path / "study", 1, SMALL)
    for path in written.paths:
        dataset = pydicom.dcmread(path)
        for keyword in CARRIED_OVER:
            if keyword in dataset:
                del dataset[keyword]
        dataset.save_as(path)
    path = written_seg(segmentation_of(written), tmp_path / "out")
    assert pydicom.dcmread(path).PatientID in ("", None)
    no_dicomdir = "Warning - Missing attribute or value that would be needed to build DICOMDIR"
    assert [
        finding for finding in findings_of_dciodvfy(path) if not finding.startswith(no_dicomdir)
    ] == []


def test_dciodvfy_finds_neither_error_nor_warning_in_the_seg(seg_path: Path) -> None:
    assert findings_of_dciodvfy(seg_path) == []


def test_dcmtk_reads_the_seg_without_a_warning(seg_path: Path) -> None:
    if shutil.which("dcmdump") is None:
        pytest.skip("dcmdump is not installed (Debian: dcmtk)")
    assert subprocess.run(["dcmdump", seg_path], capture_output=True, check=True).stderr == b""


def test_same_labels_give_the_same_seg_bytes(
    true_segmentation: Segmentation, seg_path: Path, tmp_path: Path
) -> None:
    again = written_seg(true_segmentation, tmp_path / "again")
    assert again.read_bytes() == seg_path.read_bytes()
    first = pydicom.dcmread(seg_path)
    labels = true_segmentation.labels.copy()
    labels[labels == 5] = 0
    other = pydicom.dcmread(
        written_seg(replace(true_segmentation, labels=labels), tmp_path / "other")
    )
    assert other.SOPInstanceUID != first.SOPInstanceUID


def test_read_back_notices_a_single_changed_voxel_of_the_seg(
    seg_path: Path, true_segmentation: Segmentation
) -> None:
    structures = tuple(found.structure for found in true_segmentation.found())
    seg = pydicom.dcmread(seg_path)
    pixels = bytearray(seg.PixelData)
    pixels[len(pixels) // 2] ^= 0b1000
    seg.PixelData = bytes(pixels)
    with pytest.raises(OutputError, match="differs"):
        compare_seg(seg, true_segmentation, structures)


@pytest.mark.parametrize("place", [0, -1], ids=["in the first row", "in the last row"])
def test_read_back_notices_a_voxel_far_from_the_structure_in_the_seg(
    seg_path: Path, true_segmentation: Segmentation, place: int
) -> None:
    structures = tuple(found.structure for found in true_segmentation.found())
    seg = pydicom.dcmread(seg_path)
    size = seg.Rows * seg.Columns
    bits = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
    frames = bits[: seg.NumberOfFrames * size].reshape(-1, size)
    empty = np.flatnonzero(frames[:, place] == 0)
    frames[empty[len(empty) // 2], place] = 1
    seg.PixelData = np.packbits(bits, bitorder="little").tobytes()
    with pytest.raises(OutputError, match="differs"):
        compare_seg(seg, true_segmentation, structures)


def test_read_back_notices_that_the_pixels_of_the_seg_break_off(
    seg_path: Path, true_segmentation: Segmentation
) -> None:
    structures = tuple(found.structure for found in true_segmentation.found())
    seg = pydicom.dcmread(seg_path)
    seg.PixelData = seg.PixelData[:-2]
    with pytest.raises(OutputError, match="differs"):
        compare_seg(seg, true_segmentation, structures)


def test_read_back_notices_a_missing_frame_of_the_seg(
    seg_path: Path, true_segmentation: Segmentation
) -> None:
    structures = tuple(found.structure for found in true_segmentation.found())
    seg = pydicom.dcmread(seg_path)
    del seg.PerFrameFunctionalGroupsSequence[-1]
    with pytest.raises(OutputError, match="voxels"):
        compare_seg(seg, true_segmentation, structures)


def test_seg_with_private_codes_describes_their_scheme(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    assert "CodingSchemeIdentificationSequence" not in pydicom.dcmread(
        written_seg(true_segmentation, tmp_path / "total")
    )
    (label, *_) = (found.structure.label for found in true_segmentation.found())
    own = replace(
        true_segmentation,
        task="abdominal_muscles",
        labels=np.where(true_segmentation.labels == label, label, 0).astype(np.uint8),
        structures=(Structure(label=label, name="external_oblique_left"),),
    )
    (own_seg,) = encode_segs(own, Settings())
    seg = own_seg.header
    (scheme,) = seg.CodingSchemeIdentificationSequence
    (region,) = seg.SegmentSequence[0].AnatomicRegionSequence
    assert scheme.CodingSchemeDesignator == region.CodingSchemeDesignator == "99TOTALMAP"


def test_labels_without_structures_give_no_seg(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    empty = replace(true_segmentation, labels=np.zeros_like(true_segmentation.labels))
    with open_release(tmp_path) as release:
        assert write_seg(empty, Settings(), release) == ()
    assert not list(tmp_path.rglob("*.dcm*"))


def test_seg_is_split_into_one_object_for_each_body_system(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    settings = with_results(seg_split="body_system")
    with open_release(tmp_path) as release:
        results = write_seg(true_segmentation, settings, release)
        release.publish({})
    paths = [tmp_path / result.path for result in results]
    assert [path.name for path in paths][:2] == ["seg_skeletal.dcm", "seg_muscular.dcm"]
    segs = [pydicom.dcmread(path) for path in paths]
    assert len({seg.SeriesInstanceUID for seg in segs}) == len(segs)
    assert segs[0].SeriesDescription == "TotalMAP total fast skeletal (AI, unverified)"
    assert {result.sop_instance_uid for result in results} == {seg.SOPInstanceUID for seg in segs}
    together = np.zeros_like(phantom_series.labels)
    for path in paths:
        part = read_by_highdicom(path, phantom_series)
        assert not together[part > 0].any()
        together |= part
        assert findings_of_dciodvfy(path) == []
    np.testing.assert_array_equal(together, phantom_series.labels)


def test_seg_holds_only_the_chosen_structures(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    wanted = ("spleen", "liver", "brain")  # there is no brain in view
    path = written_seg(true_segmentation, tmp_path, seg_structures=wanted)
    seg = pydicom.dcmread(path)
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["Spleen", "Liver"]
    expected = np.where(np.isin(phantom_series.labels, [1, 5]), phantom_series.labels, 0)
    np.testing.assert_array_equal(read_by_highdicom(path, phantom_series), expected)


def test_seg_holds_more_than_255_labels(true_segmentation: Segmentation, tmp_path: Path) -> None:
    names = list(dict.fromkeys(name for task in class_map.values() for name in task.values()))
    coded = [name for name in names if has_code(name)][:300]
    structures = tuple(Structure(label=n, name=name) for n, name in enumerate(coded, start=1))
    rows = np.arange(true_segmentation.labels[0].size).reshape(true_segmentation.labels[0].shape)
    labels = np.zeros(true_segmentation.labels.shape, dtype=np.uint16)
    labels[4] = rows % 301
    many = replace(
        true_segmentation,
        labels=labels,
        structures=structures,
        inference=replace(
            true_segmentation.inference,
            labels=to_canonical(labels, true_segmentation.volume.geometry),
        ),
    )
    (seg,) = encode_segs(many, Settings())
    assert len(seg.header.SegmentSequence) == 300
    path = written_seg(many, tmp_path)  # which compares each frame with the labels
    pixels = highdicom.seg.segread(path).pixel_array
    numbers = np.arange(1, 301)[:, None, None]
    np.testing.assert_array_equal(pixels.astype(bool), labels[4] == numbers)


def has_code(name: str) -> bool:
    try:
        return bool(structure_code(name))
    except OutputError:
        return False


def test_a_seg_of_a_demo_model_does_not_name_totalsegmentator(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    (model,) = true_segmentation.models
    demo = replace(true_segmentation, models=(replace(model, notice="not for patients"),))
    seg = pydicom.dcmread(written_seg(demo, tmp_path))
    assert "DEMO MODEL" in seg.SeriesDescription
    assert "demo model" in seg.SegmentSequence[0].SegmentAlgorithmName

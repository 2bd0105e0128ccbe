import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from tests.phantom import write_enhanced
from tests.phantom.study import CORONAL, SAGITTAL, SeriesSpec, WrittenSeries, write_series
from tests.readers import read_by_filling, read_by_plastimatch
from tests.segmentations import segmentation_of, segmentation_with, volume_of
from totalmap import __version__
from totalmap.dicom.geometry import Geometry, canonical_affine_lps, to_canonical
from totalmap.errors import OutputError
from totalmap.segmentation import InferenceLabels, Segmentation
from totalmap.settings import GapPolicy, GeometrySection, ResultsSection, Settings
from totalmap.structures import Structure
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.rtstruct.read_back import compare_rtstruct
from totalmap.writers.rtstruct.writer import write_rtstruct

SMALL = SeriesSpec(
    rows=34, columns=37, n_slices=20, slice_spacing_mm=6.0, pixel_spacing_mm=(11.0, 10.0)
)


def written_rtstruct(
    segmentation: Segmentation,
    folder: Path,
    structures: tuple[str, ...] = (),
    settings: Settings | None = None,
) -> Path:
    chosen = Settings(results=ResultsSection(rtstruct_structures=structures))
    with open_release(folder) as release:
        settings = settings or chosen
        (result,) = write_rtstruct(segmentation, settings, release)
        release.publish({})
    return folder / result.path


@pytest.fixture(scope="module")
def rtstruct_path(
    true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return written_rtstruct(true_segmentation, tmp_path_factory.mktemp("rtstruct"))


def test_rtstruct_refers_to_its_source(rtstruct_path: Path, phantom_series: WrittenSeries) -> None:
    rtstruct = pydicom.dcmread(rtstruct_path)
    source = pydicom.dcmread(phantom_series.paths[0])
    assert rtstruct.SOPClassUID == RTStructureSetStorage
    assert rtstruct.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert rtstruct[keyword].value == source[keyword].value
    (frame_of_reference,) = rtstruct.ReferencedFrameOfReferenceSequence
    (study,) = frame_of_reference.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert frame_of_reference.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert study.ReferencedSOPInstanceUID == source.StudyInstanceUID
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    images = [image.ReferencedSOPInstanceUID for image in series.ContourImageSequence]
    assert images == list(phantom_series.sop_uids)
    assert "unverified" in rtstruct.SeriesDescription
    assert rtstruct.ApprovalStatus == "UNAPPROVED"


def test_structure_sets_of_two_rules_and_series_are_told_apart(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    """Planning systems list the label; viewers list the description of the series."""
    template = "{task} {rule} {source_number} {source_description}"
    settings = Settings(results=ResultsSection(series_description=template))
    volume = replace(true_segmentation.volume, folder="soft")
    soft = replace(true_segmentation, volume=volume, variant="full")
    path = written_rtstruct(soft, tmp_path / "soft", settings=settings)
    rtstruct = pydicom.dcmread(path)
    source = true_segmentation.volume.slices[0].instance
    assert rtstruct.StructureSetLabel == "TM total full"
    assert f"total soft {source.series_number} Trunk" in rtstruct.SeriesDescription
    assert rtstruct.SeriesDescription.endswith(" contours (AI, unverified)")
    assert "rule soft, of series 2 Trunk" in rtstruct.StructureSetDescription
    assert __version__ in rtstruct.StructureSetDescription
    assert findings_of_dciodvfy(path) == []


def test_rtstruct_has_one_coded_roi_for_each_structure(
    rtstruct_path: Path, true_segmentation: Segmentation
) -> None:
    rtstruct = pydicom.dcmread(rtstruct_path)
    found = [measured.structure for measured in true_segmentation.found()]
    rois = rtstruct.StructureSetROISequence
    assert [roi.ROIDescription for roi in rois] == [structure.name for structure in found]
    assert [roi.ROINumber for roi in rois] == list(range(1, len(found) + 1))
    labels = [observation.ObservationNumber for observation in rtstruct.RTROIObservationsSequence]
    assert labels == [structure.label for structure in found]
    assert {roi.ROIGenerationAlgorithm for roi in rois} == {"AUTOMATIC"}
    codes = {
        roi.ROIName: observation.RTROIIdentificationCodeSequence[0]
        for roi, observation in zip(rois, rtstruct.RTROIObservationsSequence, strict=True)
        if roi.ROINumber == observation.ReferencedROINumber
    }
    assert codes["kidney_left"].CodeValue == codes["kidney_right"].CodeValue == "64033007"
    sides = [
        codes[f"kidney_{side}"].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning
        for side in ("left", "right")
    ]
    assert sides == ["Left", "Right"]


def test_dciodvfy_finds_neither_error_nor_warning_in_the_rtstruct(rtstruct_path: Path) -> None:
    assert findings_of_dciodvfy(rtstruct_path) == []


def findings_of_dciodvfy(path: Path) -> list[str]:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    findings = done.stderr.splitlines()
    assert "RTStructureSet" in findings, "dciodvfy did not recognise the object"
    return [line for line in findings if line.startswith(("Error", "Warning"))]


def test_plastimatch_reads_the_labels_from_the_rtstruct(
    rtstruct_path: Path, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    """Plastimatch is independent of us; it draws the contours on the grid of the source."""
    if shutil.which("plastimatch") is None:
        pytest.skip("plastimatch is not installed (Debian: plastimatch)")
    masks = dict(read_by_plastimatch(rtstruct_path, tmp_path, phantom_series.folder))
    assert sorted(masks) == sorted(set(phantom_series.labels.ravel().tolist()) - {0})
    for label, mask in masks.items():
        expected = phantom_series.labels == label
        assert 2 * (mask & expected).sum() / (mask.sum() + expected.sum()) >= 0.999


SERIES = {
    "prone": replace(SMALL, orientation=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)),
    "row to the right": replace(SMALL, orientation=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)),
    "oblique": replace(SMALL, orientation=(1.0, 0.0, 0.0, 0.0, 0.8, -0.6)),
    "coronal": replace(SMALL, orientation=CORONAL),
    "sagittal": replace(SMALL, orientation=SAGITTAL),
    "tilted": replace(SMALL, tilt_degrees=20.0),
    "uneven": replace(SMALL, slice_steps=(0.0, 1.0, 1.5, 3.0, *range(4, 20))),
}


@pytest.mark.parametrize("spec", SERIES.values(), ids=SERIES)
def test_rtstruct_contours_lie_on_the_source_in_any_geometry(
    tmp_path: Path, spec: SeriesSpec
) -> None:
    written = write_series(tmp_path / "study", 1, replace(spec, file_order="shuffled"))
    volume = volume_of(written.folder, GeometrySection(gaps=GapPolicy.FILL))
    segmentation = on_straight_grid(segmentation_with(volume, written.labels))
    path = written_rtstruct(segmentation, tmp_path / "out")
    np.testing.assert_array_equal(read_by_filling(path, written), written.labels)
    assert findings_of_dciodvfy(path) == []


def on_straight_grid(segmentation: Segmentation) -> Segmentation:
    """Returns the labels as if a network had seen a slice at every half step."""
    geometry = segmentation.volume.geometry
    steps = np.arange(2 * geometry.slice_steps[-1] + 1) / 2
    nearest = np.abs(steps[:, None] - geometry.slice_steps).argmin(axis=1)
    straight = Geometry.regular(
        geometry.affine_lps @ np.diag([1, 1, 0.5, 1]), (len(steps), *geometry.shape[1:])
    )
    inference = InferenceLabels(
        labels=to_canonical(segmentation.labels[nearest], straight),
        affine_lps=canonical_affine_lps(straight),
    )
    return replace(segmentation, inference=inference)


def test_rtstruct_contours_of_a_multi_frame_source_name_their_frames(tmp_path: Path) -> None:
    written = write_enhanced(tmp_path / "study", 1, replace(SMALL, file_order="shuffled"))
    path = written_rtstruct(segmentation_of(written), tmp_path / "out")
    source = pydicom.dcmread(written.paths[0])
    for roi in pydicom.dcmread(path).ROIContourSequence:
        for contour in roi.ContourSequence:
            (image,) = contour.ContourImageSequence
            frame = source.PerFrameFunctionalGroupsSequence[image.ReferencedFrameNumber - 1]
            position = frame.PlanePositionSequence[0].ImagePositionPatient
            assert contour.ContourData[2] == pytest.approx(position[2], abs=1e-3)
    np.testing.assert_array_equal(read_by_filling(path, written), written.labels)
    assert findings_of_dciodvfy(path) == []


def test_decimal_strings_of_the_rtstruct_have_at_most_16_characters(rtstruct_path: Path) -> None:
    for roi in pydicom.dcmread(rtstruct_path).ROIContourSequence:
        for contour in roi.ContourSequence:
            values = contour.get_item("ContourData").value.rstrip(b" ").split(b"\\")
            assert len(values) == 3 * contour.NumberOfContourPoints
            assert all(re.fullmatch(rb"-?\d{1,11}(\.\d{1,3})?", value) for value in values)
            assert contour.ContourGeometricType == "CLOSED_PLANAR"


def test_same_labels_give_the_same_rtstruct_bytes(
    true_segmentation: Segmentation, rtstruct_path: Path, tmp_path: Path
) -> None:
    again = written_rtstruct(true_segmentation, tmp_path / "again")
    assert again.read_bytes() == rtstruct_path.read_bytes()


def test_choice_of_structures_changes_neither_contours_nor_colours_of_the_rtstruct(
    true_segmentation: Segmentation, rtstruct_path: Path, tmp_path: Path
) -> None:
    names = {"kidney_left", "liver"}
    path = written_rtstruct(true_segmentation, tmp_path, (*names, "prostate", "brain"))
    some, every = pydicom.dcmread(path), pydicom.dcmread(rtstruct_path)
    contours, all_contours = contours_by_name(some), contours_by_name(every)
    assert contours.keys() == names & all_contours.keys()
    for name, roi in contours.items():
        assert roi.ContourSequence == all_contours[name].ContourSequence
        assert tuple(roi.ROIDisplayColor) == structure_code(name).rgb
    assert some.SOPInstanceUID != every.SOPInstanceUID
    assert some.SeriesInstanceUID != every.SeriesInstanceUID


def contours_by_name(rtstruct: Dataset) -> dict[str, Dataset]:
    names = {roi.ROINumber: roi.ROIDescription for roi in rtstruct.StructureSetROISequence}
    return {names[roi.ReferencedROINumber]: roi for roi in rtstruct.ROIContourSequence}


def test_choice_of_absent_structures_gives_no_rtstruct(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    settings = Settings(results=ResultsSection(rtstruct_structures=("brain",)))
    with open_release(tmp_path) as release:
        assert write_rtstruct(true_segmentation, settings, release) == ()
    assert not list(tmp_path.rglob("*.dcm*"))


def test_rtstruct_with_private_codes_describes_their_scheme(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    (label, *_) = (found.structure.label for found in true_segmentation.found())
    own = replace(
        true_segmentation, structures=(Structure(label=label, name="external_oblique_left"),)
    )
    path = written_rtstruct(own, tmp_path)
    rtstruct = pydicom.dcmread(path)
    (scheme,) = rtstruct.CodingSchemeIdentificationSequence
    (region,) = rtstruct.RTROIObservationsSequence[0].AnatomicRegionSequence
    assert scheme.CodingSchemeDesignator == region.CodingSchemeDesignator == "99TOTALMAP"
    assert not [finding for finding in findings_of_dciodvfy(path) if "<99TOTALMAP>" not in finding]


def shift(rtstruct: Dataset, mm: tuple[float, float, float]) -> None:
    contour = rtstruct.ROIContourSequence[0].ContourSequence[0]
    positions = np.array(contour.ContourData, float).reshape(-1, 3) + mm
    contour.ContourData = [f"{value:.3f}" for value in positions.ravel()]


def refer_to_another_image(rtstruct: Dataset) -> None:
    contour = rtstruct.ROIContourSequence[0].ContourSequence[0]
    contour.ContourImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def remove_a_contour(rtstruct: Dataset) -> None:
    del rtstruct.ROIContourSequence[0].ContourSequence[0]


def remove_an_roi(rtstruct: Dataset) -> None:
    del rtstruct.ROIContourSequence[0]


def swap_two_rois(rtstruct: Dataset) -> None:
    first, second, *_ = rtstruct.ROIContourSequence
    first.ReferencedROINumber, second.ReferencedROINumber = (
        second.ReferencedROINumber,
        first.ReferencedROINumber,
    )


def count_wrongly(rtstruct: Dataset) -> None:
    rtstruct.ROIContourSequence[0].ContourSequence[0].NumberOfContourPoints += 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rtstruct: shift(rtstruct, (4.4, 0, 0)), "differ from its labels: Dice 0"),
        (lambda rtstruct: shift(rtstruct, (0, 0, 0.5)), "lies off the image"),
        (lambda rtstruct: shift(rtstruct, (900, 0, 0)), "leaves its image"),
        (refer_to_another_image, "not a source"),
        (remove_a_contour, "differ from its labels"),
        (remove_an_roi, "no contours of 1 structures"),
        (swap_two_rois, "differ from its labels"),
        (count_wrongly, "another number of points"),
    ],
)
def test_read_back_notices_a_changed_rtstruct(
    true_segmentation: Segmentation,
    rtstruct_path: Path,
    change: Callable[[Dataset], None],
    message: str,
) -> None:
    rtstruct = pydicom.dcmread(rtstruct_path)
    change(rtstruct)
    file = BytesIO()
    rtstruct.save_as(file)
    file.seek(0)
    structures = tuple(found.structure for found in true_segmentation.found())
    with pytest.raises(OutputError, match=message):
        compare_rtstruct(pydicom.dcmread(file), true_segmentation, structures)


def test_read_back_notices_mirrored_labels_of_the_rtstruct(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    inference = true_segmentation.inference
    mirrored = replace(inference, labels=inference.labels[::-1])
    with pytest.raises(OutputError, match="where the network put another label"):
        written_rtstruct(replace(true_segmentation, inference=mirrored), tmp_path)

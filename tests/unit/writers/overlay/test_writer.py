from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage

from tests.phantom import AXIAL, CORONAL, SAGITTAL
from tests.phantom.enhanced import write_enhanced
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.readers import NUMBER_OF
from tests.segmentations import segmentation_of
from tests.unit.writers.preview.test_writer import findings_of_dciodvfy
from totalmap.errors import OutputError
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.trace_result import trace
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.dicom.run_lengths import frame_planes
from totalmap.writers.overlay.writer import compare_overlay_image, instance_numbers, write_overlay

Written = tuple[Path, tuple[Result, ...]]

PRONE = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def written_overlay(
    segmentation: Segmentation, folder: Path, settings: Settings | None = None
) -> Written:
    with open_release(folder) as release:
        results = write_overlay(segmentation, settings or Settings(), release)
        if results:
            release.publish({})
    return folder, results


def images_of(written: Written) -> list[Dataset]:
    folder, results = written
    return [pydicom.dcmread(folder / result.path) for result in results]


@pytest.fixture(scope="module")
def written(true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written_overlay(true_segmentation, tmp_path_factory.mktemp("overlay"))


@pytest.fixture(scope="module")
def images(written: Written) -> list[Dataset]:
    return images_of(written)


def test_every_slice_has_an_overlay_image_with_the_number_and_geometry_of_its_source(
    images: list[Dataset], phantom_series: WrittenSeries
) -> None:
    sources = [pydicom.dcmread(path) for path in phantom_series.paths]
    sources.sort(key=lambda source: source.InstanceNumber)
    for image, source in zip(images, sources, strict=True):
        for keyword in (
            *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
            *("FrameOfReferenceUID", "Rows", "Columns", "InstanceNumber", "SliceThickness"),
            *("StudyInstanceUID", "PatientID", "PatientName"),
        ):
            assert image[keyword].value == source[keyword].value, keyword
        (reference,) = image.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == source.SOPClassUID


def test_images_of_the_overlay_are_one_series_of_rgb_secondary_captures_in_rle(
    images: list[Dataset],
) -> None:
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    for image in images:
        assert image.SOPClassUID == SecondaryCaptureImageStorage
        assert image.file_meta.TransferSyntaxUID == RLELossless
        assert image.PhotometricInterpretation == "RGB"
        assert image.BurnedInAnnotation == "YES"
        assert image.Modality == "OT"
        assert image.SeriesNumber == 9007
        assert image.SeriesDescription.endswith("overlay (AI, unverified)")


def contours_lps(images: list[Dataset], name: str) -> NDArray[np.float64]:
    """Returns (n, 3) positions of all pixels in the colour of a structure, by the images alone."""
    rgb = np.array(structure_code(name).rgb)
    positions = []
    for image in images:
        rows, columns = np.nonzero((image.pixel_array == rgb).all(axis=2))
        between_rows, between_columns = image.PixelSpacing
        along_row, along_column = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
        positions.append(
            np.array(image.ImagePositionPatient, float)
            + columns[:, None] * between_columns * along_row
            + rows[:, None] * between_rows * along_column
        )
    return np.concatenate(positions)


@pytest.mark.parametrize(
    "orientation", [AXIAL, PRONE, CORONAL, SAGITTAL], ids=["axial", "prone", "coronal", "sagittal"]
)
def test_the_overlay_draws_the_liver_where_it_is_in_the_patient(
    tmp_path: Path, orientation: tuple[float, float, float, float, float, float]
) -> None:
    spec = SeriesSpec(
        orientation=orientation, n_slices=48, slice_spacing_mm=8.0, slice_thickness_mm=8.0
    )
    written = write_series(tmp_path / "ct", 1, spec)
    segmentation = segmentation_of(written)
    is_liver = segmentation.labels == NUMBER_OF["liver"]
    alone = replace(segmentation, labels=np.where(is_liver, segmentation.labels, 0))
    _, *images = images_of(written_overlay(alone, tmp_path / "out"))  # the first has the legend
    drawn = contours_lps(images, "liver")
    to_index = np.linalg.inv(written.affine_lps)
    i, j, k = np.rint(drawn @ to_index[:3, :3].T + to_index[:3, 3]).astype(int).T
    assert len(drawn) > 500
    assert (written.labels[k, j, i] == NUMBER_OF["liver"]).all()
    assert drawn[:, 0].mean() < -20  # the patient's right


def test_the_trace_of_an_overlay_image_names_its_source_and_its_weights(
    written: Written, images: list[Dataset], true_segmentation: Segmentation
) -> None:
    folder, results = written
    found = trace(folder / results[7].path)
    source = images[7].SourceImageSequence[0].ReferencedSOPInstanceUID
    assert found.instances == (source,)
    assert found.series_instance_uid == images[7].SeriesInstanceUID
    assert true_segmentation.models[0].sha256 in str(found.origin)


def test_dciodvfy_finds_no_error_in_the_overlay(written: Written) -> None:
    folder, results = written
    for result in (results[0], results[20]):
        findings = findings_of_dciodvfy(folder / result.path)
        assert [finding for finding in findings if finding.startswith("Error")] == []


def test_same_labels_give_the_same_overlay_bytes(
    written: Written, true_segmentation: Segmentation, tmp_path: Path
) -> None:
    first, results = written
    again, _ = written_overlay(true_segmentation, tmp_path)
    for result in results:
        assert (first / result.path).read_bytes() == (again / result.path).read_bytes()


def test_other_labels_give_other_overlay_images_of_the_same_series(
    true_segmentation: Segmentation, images: list[Dataset], tmp_path: Path
) -> None:
    labels = true_segmentation.labels.copy()
    labels[20, 40, 40] = 1
    others = images_of(written_overlay(replace(true_segmentation, labels=labels), tmp_path))
    assert not {image.SOPInstanceUID for image in images} & {
        image.SOPInstanceUID for image in others
    }
    assert {image.SeriesInstanceUID for image in others} == {images[0].SeriesInstanceUID}


def test_every_third_slice_has_an_overlay_image_if_the_settings_say_so(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    settings = Settings(results=ResultsSection(overlay_every=3))
    thinned = images_of(written_overlay(true_segmentation, tmp_path, settings))
    sources = [image.SourceImageSequence[0].ReferencedSOPInstanceUID for image in thinned]
    assert sources == list(phantom_series.sop_uids[::3])
    assert {float(image.SpacingBetweenSlices) for image in thinned} == {9.0}
    assert {float(image.SliceThickness) for image in thinned} == {3.0}


def test_overlay_images_of_a_multi_frame_source_refer_to_its_frames(tmp_path: Path) -> None:
    spec = SeriesSpec(n_slices=6, slice_spacing_mm=40.0, slice_thickness_mm=40.0)
    segmentation = segmentation_of(write_enhanced(tmp_path / "ct", 1, spec))
    images = images_of(written_overlay(segmentation, tmp_path / "out"))
    references = [image.SourceImageSequence[0] for image in images]
    assert [item.ReferencedFrameNumber for item in references] == [1, 2, 3, 4, 5, 6]
    assert len({item.ReferencedSOPInstanceUID for item in references}) == 1


def test_an_overlay_without_structures_is_not_written(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    empty = replace(true_segmentation, labels=np.zeros_like(true_segmentation.labels))
    _, results = written_overlay(empty, tmp_path)
    assert results == ()


def test_overlay_slices_are_numbered_anew_if_their_source_has_a_number_twice(
    true_segmentation: Segmentation,
) -> None:
    slices = true_segmentation.volume.slices
    assert instance_numbers(slices) == tuple(item.frame.instance_number for item in slices)
    doubled = (slices[0], slices[0], *slices[2:])
    assert instance_numbers(doubled) == tuple(range(1, len(slices) + 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("position", "image 21 of the overlay does not lie where its source lies"),
        ("source", "image 21 of the overlay refers to another image than its source"),
        ("pixel", "image 21 of the overlay differs from its slice after writing"),
    ],
)
def test_read_back_notices_a_fault_of_an_overlay_image(
    written: Written, true_segmentation: Segmentation, change: str, message: str
) -> None:
    folder, results = written
    image = pydicom.dcmread(folder / results[20].path)
    number = int(image.InstanceNumber)
    slices = true_segmentation.volume.slices
    source = next(item for item in slices if item.frame.instance_number == number)
    frame = pydicom.encaps.get_frame(image.PixelData, 0, number_of_frames=1)
    planes = frame_planes(frame, image.Rows, image.Columns).copy()
    compare_overlay_image(image, source, planes)
    if change == "position":
        image.ImagePositionPatient[2] += 1.0
    elif change == "source":
        image.SourceImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    else:
        planes[1, 40, 40] ^= 1
    with pytest.raises(OutputError, match=message):
        compare_overlay_image(image, source, planes)

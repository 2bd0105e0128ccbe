"""Our labels are those of the unmodified TotalSegmentator command with the same weights."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray

from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.networks import build_models
from tests.peer import Peer, totalsegmentator
from tests.phantom.study import CORONAL, SeriesSpec, write_series
from tests.results import result_in
from tests.segmentations import volume_of
from tests.waiting import WAIT_SECONDS
from totalmap.dicom.geometry import Affine, to_las
from totalmap.engine.predict import Networks
from totalmap.engine.segment import segment
from totalmap.engine.tasks import load_task
from totalmap.run_log import SilentObserver
from totalmap.settings import Variant

AXIAL_SPEC = SeriesSpec(
    rows=96, columns=112, n_slices=60, pixel_spacing_mm=(3.2, 3.3), slice_spacing_mm=2.5
)
CORONAL_SPEC = SeriesSpec(
    rows=72,
    columns=64,
    n_slices=40,
    pixel_spacing_mm=(5.0, 6.1),
    slice_spacing_mm=5.5,
    orientation=CORONAL,
    file_order="shuffled",
)
TOP, BOTTOM, LEFT, RIGHT = 195, 325, 195, 325


def assert_equal_labels(
    peer: Peer, source: Path, models: Path, folder: Path, variant: Variant, *options: str
) -> None:
    """Segments a DICOM folder with both and compares every voxel and its place."""
    theirs_path = folder / "theirs.nii.gz"
    peer.totalsegmentator(source, theirs_path, models, *options)
    volume, networks = volume_of(source), Networks(load_task("total", variant), models)
    found = segment(volume, (networks,), SilentObserver().progress).labels
    compare(*to_las(found, volume.geometry), theirs_path)


def compare(ours: NDArray[Any], affine_ras: Affine, theirs_path: Path) -> None:
    theirs = nibabel.load(theirs_path)
    np.testing.assert_allclose(affine_ras, theirs.affine, atol=1e-3)
    values = np.asarray(theirs.dataobj)
    assert len(np.unique(values)) > 5, "a comparison of empty labels would prove nothing"
    differing = int(np.count_nonzero(ours != values))
    assert differing == 0, f"{differing} of {values.size} voxels differ"


def test_our_command_labels_the_real_ct_as_totalsegmentators_command_does(
    real_ct: Path, tmp_path: Path
) -> None:
    """Runs both as a user does, from the DICOM folder to the NIfTI file."""
    theirs_path = tmp_path / "theirs.nii.gz"
    totalsegmentator(real_ct, theirs_path, DEMO_MODELS, "--fast")
    words = [sys.executable, "-m", "app", "-i", real_ct, "-o", tmp_path / "ours", "-m", DEMO_MODELS]
    overrides = {
        "TOTALMAP_SEGMENTATION__VARIANT": Variant.FAST.value,
        "TOTALMAP_RESULTS__KINDS": "[nifti]",
    }
    subprocess.run(
        [str(word) for word in words],
        cwd=REPOSITORY,
        env=os.environ | overrides,
        check=True,
        capture_output=True,
        timeout=WAIT_SECONDS,
    )
    ours = nibabel.load(result_in(tmp_path / "ours", "labels.nii.gz"))
    compare(np.asarray(ours.dataobj), ours.affine, theirs_path)


def test_the_demo_model_labels_a_phantom_as_in_totalsegmentator(peer: Peer, tmp_path: Path) -> None:
    write_series(tmp_path / "in", 7, AXIAL_SPEC)
    assert_equal_labels(peer, tmp_path / "in", DEMO_MODELS, tmp_path, Variant.FAST, "--fast")


def test_a_random_network_labels_the_real_ct_as_in_totalsegmentator(
    peer: Peer, real_ct: Path, fast_models: Path, tmp_path: Path
) -> None:
    """Labels of a random network change with the last bit of a voxel: each difference shows."""
    assert_equal_labels(peer, real_ct, fast_models, tmp_path, Variant.FAST, "--fast")


def test_variant_fastest_labels_a_coronal_phantom_as_in_totalsegmentator(
    peer: Peer, tmp_path: Path
) -> None:
    write_series(tmp_path / "in", 8, CORONAL_SPEC)
    models = build_models(tmp_path / "models", Variant.FASTEST, patch_size=(32, 48, 64))
    assert_equal_labels(peer, tmp_path / "in", models, tmp_path, Variant.FASTEST, "--fastest")


def test_variant_full_merges_five_networks_as_totalsegmentator_does(
    peer: Peer, real_ct: Path, full_models: Path, tmp_path: Path
) -> None:
    """Uses the middle of the real CT, since five networks take minutes for all of it."""
    source = middle_of(real_ct, tmp_path / "in")
    assert_equal_labels(peer, source, full_models, tmp_path, Variant.FULL)


def middle_of(series: Path, folder: Path) -> Path:
    """Writes the middle of each slice of an axial series."""
    folder.mkdir()
    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.decompress()
        dataset.PixelData = dataset.pixel_array[TOP:BOTTOM, LEFT:RIGHT].tobytes()
        dataset.Rows, dataset.Columns = BOTTOM - TOP, RIGHT - LEFT
        x, y, z = map(float, dataset.ImagePositionPatient)
        down, right = map(float, dataset.PixelSpacing)
        dataset.ImagePositionPatient = [f"{x + LEFT * right:.6f}", f"{y + TOP * down:.6f}", z]
        dataset.save_as(folder / path.name)
    return folder


def test_a_border_of_zeros_is_cropped_as_in_totalsegmentator(
    peer: Peer, fast_models: Path, tmp_path: Path
) -> None:
    """nnU-Net crops an image to what is not 0, which moves its tiles."""
    spec = SeriesSpec(
        rows=96, columns=80, n_slices=36, pixel_spacing_mm=(4.5, 4.5), slice_spacing_mm=4.0
    )
    written = write_series(tmp_path / "in", 10, spec)
    for k, path in enumerate(written.paths):
        dataset = pydicom.dcmread(path)
        stored = dataset.pixel_array.copy()
        zero_hu = -int(dataset.RescaleIntercept)
        stored[:20], stored[:, :14] = zero_hu, zero_hu
        if k < 7:
            stored[:] = zero_hu
        dataset.PixelData = stored.tobytes()
        dataset.save_as(path)
    assert_equal_labels(peer, tmp_path / "in", fast_models, tmp_path, Variant.FAST, "--fast")


def test_a_stack_thinner_than_a_tile_is_labelled_as_in_totalsegmentator(
    peer: Peer, full_models: Path, tmp_path: Path
) -> None:
    spec = SeriesSpec(
        rows=56, columns=48, n_slices=30, pixel_spacing_mm=(2.4, 2.4), slice_spacing_mm=1.0
    )
    written = write_series(tmp_path / "in", 11, spec)
    assert_equal_labels(peer, written.folder, full_models, tmp_path, Variant.FULL)


def test_an_image_segmented_in_three_parts_is_labelled_as_in_totalsegmentator(
    peer: Peer, full_models: Path, tmp_path: Path
) -> None:
    """TotalSegmentator splits very large images; here an option makes it split a small one."""
    spec = SeriesSpec(
        rows=20, columns=24, n_slices=84, pixel_spacing_mm=(3.0, 3.0), slice_spacing_mm=4.0
    )
    written = write_series(tmp_path / "in", 12, spec)
    theirs_path = tmp_path / "theirs.nii.gz"
    peer.totalsegmentator(written.folder, theirs_path, full_models, "--force_split")
    volume, task = volume_of(written.folder), load_task("total", Variant.FULL)
    split = Networks(task, full_models, split_above_voxels=0)
    found = segment(volume, (split,), lambda *_: None).labels
    theirs = np.asarray(nibabel.load(theirs_path).dataobj)
    assert np.count_nonzero(to_las(found, volume.geometry)[0] != theirs) == 0
    # The parts do matter: as a whole, tiles lie elsewhere.
    whole = segment(volume, (Networks(task, full_models),), lambda *_: None).labels
    assert np.count_nonzero(whole != found) > 0

import nibabel
import numpy as np
import pytest
from totalsegmentator.resampling import change_spacing

from totalmap.engine.resample import resample_image, resample_labels

SHAPE = (41, 37, 23)


def image_of(spacing: tuple[float, float, float]) -> nibabel.Nifti1Image:
    values = np.random.default_rng(1).integers(-1024, 3000, SHAPE, dtype=np.int16)
    return nibabel.Nifti1Image(values.astype(np.float64), np.diag([*spacing, 1.0]))


@pytest.mark.parametrize(
    "spacing", [(0.9765625, 0.9765625, 2.0), (0.71, 0.71, 5.0), (3.0, 3.0, 3.0), (4.1, 2.9, 0.6)]
)
@pytest.mark.parametrize(
    "target", [(1.5, 1.5, 1.5), (3.0, 3.0, 3.0), (0.4384765625, 0.4345703125, 1.0)]
)
def test_resampled_images_and_labels_equal_those_of_totalsegmentator(
    spacing: tuple[float, float, float], target: tuple[float, float, float]
) -> None:
    image = image_of(spacing)
    theirs = change_spacing(image, list(target), order=1, dtype=np.int32)
    zooms = np.asarray(image.header.get_zooms(), dtype=np.float32)
    values = image.get_fdata().astype(np.int16)
    ours = resample_image(values, zooms, target)
    np.testing.assert_array_equal(ours, theirs.get_fdata())

    labels = (np.abs(ours) % 118).astype(np.uint8)
    back = change_spacing(
        nibabel.Nifti1Image(labels, theirs.affine), list(target), SHAPE, order=0, dtype=np.uint8
    )
    np.testing.assert_array_equal(resample_labels(labels, SHAPE), back.get_fdata())


def test_resampled_image_values_are_truncated_and_not_rounded() -> None:
    step = np.array([0, -1], dtype=np.int16).reshape(2, 1, 1)
    ours = resample_image(step, np.array([1, 0.5, 0.5], dtype=np.float32), (0.5, 0.5, 0.5))
    assert ours.ravel().tolist() == [0, 0, 0, -1]  # 0, -1/3, -2/3, -1

"""Scaled values equal those of nnU-Net's own classes, to the last bit."""

import numpy as np
import pytest
from nnunetv2.preprocessing.normalization.default_normalization_schemes import (
    CTNormalization,
    ZScoreNormalization,
)
from numpy.typing import NDArray

from totalmap.dicom.geometry import Box
from totalmap.engine.nnunet_plans import CtNormalization
from totalmap.engine.nnunet_plans import ZScoreNormalization as ZScore
from totalmap.engine.normalize_intensity import scaling

PROPERTIES = {"percentile_00_5": -1004.0, "percentile_99_5": 1588.0, "mean": -50.4, "std": 503.4}
CT = CtNormalization(lower=-1004.0, upper=1588.0, mean=-50.4, std=503.4)
BOXES = [
    (slice(0, 61), slice(0, 83), slice(0, 97)),
    (slice(3, 50), slice(0, 83), slice(0, 97)),
    (slice(3, 50), slice(7, 80), slice(11, 90)),
]


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    values = np.random.default_rng(0).gamma(2.0, 300.0, (61, 83, 97))
    return np.ascontiguousarray(values, dtype=np.float32)


@pytest.mark.parametrize("box", BOXES)
def test_z_scores_of_an_image_equal_those_of_nnunet(image: NDArray[np.float32], box: Box) -> None:
    theirs = ZScoreNormalization(False, PROPERTIES).run(image.copy()[box])
    before = image.copy()
    np.testing.assert_array_equal(scaling(image, box, ZScore())(image[box]), theirs)
    np.testing.assert_array_equal(image, before)


def test_the_normalization_mean_of_a_copied_image_differs_from_that_of_a_view() -> None:
    """This is why `scaling` uses a view. If this test fails, any array would do."""
    images = np.random.default_rng(1).gamma(2.0, 300.0, (8, 40, 50, 60)).astype(np.float32)
    views = [image[3:30, 7:45, 11:50] for image in images]
    assert any(view.mean() != np.ascontiguousarray(view).mean() for view in views)


@pytest.mark.parametrize("box", BOXES)
def test_normalized_ct_values_equal_those_of_nnunet(image: NDArray[np.float32], box: Box) -> None:
    theirs = CTNormalization(False, PROPERTIES).run(image.copy()[box])
    np.testing.assert_array_equal(scaling(image, box, CT)(image[box]), theirs)


def test_an_image_of_one_value_is_normalized_to_0(image: NDArray[np.float32]) -> None:
    flat = np.full_like(image, 7.0)
    np.testing.assert_array_equal(scaling(flat, BOXES[0], ZScore())(flat), np.zeros_like(flat))

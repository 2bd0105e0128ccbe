"""Makes training data from synthetic bodies: volumes at 3 mm in nnU-Net's orientation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSpatialCropd,
    SpatialPadd,
    Transform,
)
from numpy.typing import NDArray

from tests.phantom import Anatomy
from tests.phantom.frame import rotation
from tests.phantom.scanner import Scanner

from .demo_structures import compact_labels

SPACING_MM = 3.0
CT_CLIP_HU = (-1004.0, 1588.0)  # percentiles 0.5 and 99.5 of TotalSegmentator's task 297
CT_MEAN_HU = -50.38
CT_STD_HU = 503.39

FIELDS_OF_VIEW = {
    "trunk": (-175.0, 470.0),
    "belly": (-175.0, 270.0),
    "chest": (130.0, 480.0),
    "waist": (-40.0, 250.0),
    "pelvis": (-190.0, 130.0),
}
"""Bottom and top in mm above the sacrum's upper end; a scan is a random part of one of these."""
SHARES = (0.36, 0.22, 0.16, 0.14, 0.12)
WIDTH_MM = (330.0, 460.0)
DEPTH_MM = (270.0, 400.0)
OFF_CENTRE_MM = 18.0
GRID_TILT_DEGREES = 3.0
NOISE_HU = (4.0, 38.0)
SEED_STREAM = 297  # keeps the field of view's random numbers apart from the anatomy's


def normalised(hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """Returns HU as the network sees them: nnU-Net's CTNormalization with 297's statistics."""
    clipped = np.clip(hu.astype(np.float32), *CT_CLIP_HU)
    result: NDArray[np.float32] = (clipped - np.float32(CT_MEAN_HU)) / np.float32(CT_STD_HU)
    return result


def render(
    seed: int, field: str | None = None
) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.float64]]:
    """Returns the scan that belongs to a seed: a random body in a random field of view.

    Args:
        seed: chooses body, field of view, tilt and noise.
        field: one of FIELDS_OF_VIEW; None draws one.

    Returns:
        (hu, labels, affine_lps): arrays (k, j, i) = (z, y, x) with x to the patient's RIGHT,
        y to the front and z to the head, which is how nnU-Net's NibabelIOWithReorient presents
        a RAS image; labels are class numbers of the task `total`.
    """
    rng = np.random.default_rng((seed, SEED_STREAM))
    anatomy = Anatomy.random(seed)
    names = list(FIELDS_OF_VIEW)
    drawn = names[int(rng.choice(len(names), p=SHARES))]
    low, high = FIELDS_OF_VIEW[field or drawn]
    bottom = low + rng.uniform(0.0, 0.15) * (high - low)
    top = high - rng.uniform(0.0, 0.15) * (high - low)
    size_mm = np.array([rng.uniform(*WIDTH_MM), rng.uniform(*DEPTH_MM), top - bottom])
    n_i, n_j, n_k = (round(float(s) / SPACING_MM) for s in size_mm)
    centre = np.array(
        [*rng.uniform(-OFF_CENTRE_MM, OFF_CENTRE_MM, 2), 0.5 * (bottom + top)]
    ) + np.array([0.0, 5.0, 0.0])
    tilt = np.radians(rng.uniform(-GRID_TILT_DEGREES, GRID_TILT_DEGREES, 3))
    affine = np.eye(4)
    affine[:3, :3] = rotation(*tilt) @ np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM])
    affine[:3, 3] = centre - affine[:3, :3] @ (0.5 * np.array([n_i - 1, n_j - 1, n_k - 1]))
    scanner = Scanner(
        blur_mm=rng.uniform(0.4, 1.3),
        noise_hu=rng.uniform(*NOISE_HU),
        noise_grain_px=rng.uniform(0.0, 0.6),
    )
    hu, labels = anatomy.sample(affine, (n_k, n_j, n_i), scanner=scanner)
    return hu, labels, affine


class RenderBody(Transform):
    """Turns {"seed": n} into {"image", "label"}; the same for the same seed, so it is cached."""

    def __call__(self, item: Mapping[str, int]) -> dict[str, Any]:
        """Returns a float16 image (1, z, y, x), normalised, and a uint8 label of that shape."""
        hu, labels, _affine = render(item["seed"])
        image = torch.from_numpy(normalised(hu).astype(np.float16))[None]
        return {"image": image, "label": torch.from_numpy(compact_labels(labels))[None]}


def training_transform(patch_size: Sequence[int]) -> Compose:
    """Returns rendering (cached by MONAI) followed by random cropping and intensity changes.

    A scan smaller than the patch is padded with 0 after normalisation, as nnU-Net does.
    """
    both = ["image", "label"]
    return Compose(
        [
            RenderBody(),
            RandSpatialCropd(both, roi_size=patch_size, random_center=True, random_size=False),
            SpatialPadd(both, spatial_size=patch_size, mode="constant", value=0),
            ToFloat(),
            RandGaussianSmoothd("image", (0.2, 0.8), (0.2, 0.5), (0.2, 0.5), prob=0.3),
            RandScaleIntensityd("image", factors=0.08, prob=0.5),
            RandShiftIntensityd("image", offsets=0.04, prob=0.5),
            RandGaussianNoised("image", prob=0.2, std=0.04),
        ]
    )


class ToFloat(Transform):
    """Widens the cached float16 image to float32 once it is cropped."""

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the item with a float32 image."""
        return {**item, "image": item["image"].float()}

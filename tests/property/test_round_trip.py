"""Tests that a mask in a SEG lies on the pixels of its source for any position of the patient.

Peers on the same kind of input: TotalSegmentator 2.18 writes its own SEG mirrored for negative row
cosines (Dice 0.29 to 0.32) and crashes on tilted and gapped series; dcm2niix with dcmqi gives 0.05
and 0.74 there; the App SDK builds a skewed affine.
"""

from dataclasses import replace
from itertools import permutations, product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.chain import LIVER, carried
from tests.phantom import write_enhanced
from tests.phantom.study import SeriesSpec, write_series

FIELD_MM = 260.0
LIVER_LPS_MM = (-60.0, -10.0, 160.0)


def along_axes() -> list[tuple[float, ...]]:
    """Returns the 24 orientations of slices along the axes of the patient."""
    axes = np.eye(3)
    return [
        (*(row_sign * axes[row]), *(column_sign * axes[column]))
        for row, column in permutations(range(3), 2)
        for row_sign, column_sign in product((1, -1), repeat=2)
    ]


def turned(angles: tuple[float, float, float]) -> tuple[float, ...]:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    return tuple(matrix[:, :2].T.ravel().tolist())


ORIENTATIONS = st.one_of(
    st.sampled_from(along_axes()), st.tuples(*[st.floats(-180, 180)] * 3).map(turned)
)
ORDERS = st.sampled_from(["ascending", "descending", "shuffled"])


def spec_of(
    orientation: tuple[float, ...],
    order: str,
    spacing_mm: tuple[float, float, float],
    extra: tuple[int, int, int],
    tilt_degrees: float = 0.0,
) -> SeriesSpec:
    """Returns a series over the liver; spacing and extra size are (slices, rows, columns)."""
    slices, rows, columns = (
        round(FIELD_MM / mm) + more for mm, more in zip(spacing_mm, extra, strict=True)
    )
    return SeriesSpec(
        rows=rows,
        columns=columns,
        n_slices=slices,
        pixel_spacing_mm=spacing_mm[1:],
        slice_spacing_mm=spacing_mm[0],
        orientation=orientation,  # type: ignore[arg-type]
        file_order=order,  # type: ignore[arg-type]
        tilt_degrees=tilt_degrees,
        centre_lps_mm=LIVER_LPS_MM,
        stained=(LIVER,),
        scanner=None,
    )


SIZES = st.tuples(*[st.integers(0, 9)] * 3)


@settings(max_examples=12)
@given(
    orientation=ORIENTATIONS,
    order=ORDERS,
    spacing_mm=st.floats(5.0, 8.0),
    extra=SIZES,
    is_enhanced=st.booleans(),
)
def test_masks_of_a_seg_are_exact_if_nothing_is_resampled(
    tmp_path_factory: pytest.TempPathFactory,
    orientation: tuple[float, ...],
    order: str,
    spacing_mm: float,
    extra: tuple[int, int, int],
    is_enhanced: bool,
) -> None:
    folder = tmp_path_factory.mktemp("exact")
    spec = spec_of(orientation, order, (spacing_mm, spacing_mm, spacing_mm), extra)
    write = write_enhanced if is_enhanced else write_series
    found = carried(write(folder / "in", 3, spec), folder / "out", spacing_mm=spacing_mm)
    assert found.dice_highdicom >= 0.999
    assert found.dice_dcmqi >= 0.999
    assert found.off_mm < 0.1
    assert found.volume.findings == ()


@settings(max_examples=16)
@given(
    orientation=ORIENTATIONS,
    order=ORDERS,
    spacing_mm=st.tuples(st.floats(4.0, 7.0), st.floats(4.0, 7.0), st.floats(4.0, 7.0)),
    extra=SIZES,
    tilt_degrees=st.sampled_from([0.0, 0.0, -25.0, -8.0, 15.0, 25.0]),
    uneven=st.sampled_from(["no", "missing", "varying"]),
    random=st.randoms(use_true_random=False),
    is_enhanced=st.booleans(),
)
def test_masks_of_a_seg_are_never_mirrored_or_shifted(
    tmp_path_factory: pytest.TempPathFactory,
    orientation: tuple[float, ...],
    order: str,
    spacing_mm: tuple[float, float, float],
    extra: tuple[int, int, int],
    tilt_degrees: float,
    uneven: str,
    random: Random,
    is_enhanced: bool,
) -> None:
    """Tilted, gapped, uneven and anisotropic series, seen by a network at 3 mm."""
    folder = tmp_path_factory.mktemp("any")
    spec = spec_of(orientation, order, spacing_mm, extra, tilt_degrees)
    steps = [float(k) for k in range(spec.n_slices)]
    if uneven == "missing":
        for _ in range(3):
            steps.pop(random.randint(1, len(steps) - 2))
    elif uneven == "varying":
        steps = [step + random.uniform(-0.3, 0.3) for step in steps]
    if uneven != "no":
        spec = replace(spec, n_slices=len(steps), slice_steps=tuple(steps))
    write = write_enhanced if is_enhanced else write_series
    found = carried(write(folder / "in", 3, spec), folder / "out")
    assert found.dice_highdicom >= 0.97
    # An ITK image has equidistant slices: dcmqi has to move the others.
    assert found.dice_dcmqi >= (0.9 if uneven == "varying" else 0.97)
    assert found.off_mm < 1.0
    assert bool(found.volume.findings) is (tilt_degrees != 0 or uneven != "no")

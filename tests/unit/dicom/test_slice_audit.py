from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.phantom.study import CORONAL, SAGITTAL, SeriesSpec, write_series
from totalmap.dicom.anonymous_file_names import anonymous_name
from totalmap.dicom.slice_audit import SliceAudit, audit_stack, typical_spacing_mm
from totalmap.dicom.stacks import Stack, split_into_stacks
from totalmap.dicom.study import read_study
from totalmap.errors import IncompleteSeries, UnsupportedGeometry
from totalmap.settings import GapPolicy, GeometrySection

SPEC = SeriesSpec(rows=12, columns=14, n_slices=12, scanner=None)
REJECT = GeometrySection()
FILL = GeometrySection(gaps=GapPolicy.FILL)


def stack_of(folder: Path) -> Stack:
    (series,) = read_study(folder).series
    return split_into_stacks(series)[0]


def audited(folder: Path, spec: SeriesSpec, policy: GeometrySection = REJECT) -> SliceAudit:
    write_series(folder, 1, spec)
    return audit_stack(stack_of(folder), policy)


def change(path: Path, **values: Any) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def without(*missing: int, count: int = 12) -> SeriesSpec:
    steps = tuple(float(k) for k in range(count) if k not in missing)
    return replace(SPEC, n_slices=len(steps), slice_steps=steps)


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
@pytest.mark.parametrize(
    "orientation",
    [
        (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
        (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        (0.0, 1.0, 0.0, -1.0, 0.0, 0.0),
        CORONAL,
        SAGITTAL,
    ],
    ids=["prone", "row to the right", "decubitus", "coronal", "sagittal"],
)
def test_slices_of_any_orientation_and_file_order_are_sorted(
    tmp_path: Path, orientation: Any, order: Any
) -> None:
    spec = replace(SPEC, orientation=orientation, file_order=order, pixel_spacing_mm=(12.0, 9.0))
    written = write_series(tmp_path, 2, spec)
    audit = audit_stack(stack_of(tmp_path), REJECT)
    np.testing.assert_allclose(audit.geometry.affine_lps, written.affine_lps, atol=1e-4)
    assert audit.geometry.shape == (12, 12, 14)
    assert audit.geometry.is_grid
    assert [item.instance.sop_instance_uid for item in audit.slices] == list(written.sop_uids)
    assert audit.findings == ()


@pytest.mark.parametrize("tilt", [-25.0, 4.0, 18.0])
def test_the_gantry_tilt_of_a_ct_series_is_measured(tmp_path: Path, tilt: float) -> None:
    spec = replace(SPEC, tilt_degrees=tilt)
    written = write_series(tmp_path, 2, spec)
    audit = audit_stack(stack_of(tmp_path), REJECT)
    np.testing.assert_allclose(audit.geometry.affine_lps, written.affine_lps, atol=1e-4)
    assert audit.geometry.tilt_degrees == pytest.approx(abs(tilt), abs=0.01)
    (finding,) = audit.findings
    assert f"tilted by {abs(tilt):.1f} degrees" in finding


def test_missing_slices_of_a_series_are_refused_by_default(tmp_path: Path) -> None:
    with pytest.raises(IncompleteSeries) as caught:
        audited(tmp_path, without(4, 8))
    assert str(caught.value) == (
        "2 slices are missing: gaps of up to 6.00 mm between slices 3.00 mm apart; "
        "geometry.gaps is `reject`, `fill` would allow it"
    )


def test_missing_slices_of_a_series_are_accepted_if_the_policy_fills_gaps(tmp_path: Path) -> None:
    audit = audited(tmp_path, without(4, 8), FILL)
    assert audit.geometry.slice_steps == pytest.approx([0, 1, 2, 3, 5, 6, 7, 9, 10, 11])
    assert audit.geometry.spacing_mm[2] == pytest.approx(3.0)
    (finding,) = audit.findings
    assert "2 slices are missing" in finding
    assert "interpolated" in finding


def test_a_gap_of_missing_slices_beyond_the_limit_is_not_filled(tmp_path: Path) -> None:
    with pytest.raises(IncompleteSeries, match=r"up to 12\.00 mm.*allows at most 10 mm"):
        audited(tmp_path, without(4, 5, 6, count=16), FILL)


def test_missing_slices_at_the_ends_are_not_detected(tmp_path: Path) -> None:
    assert audited(tmp_path, without(0, 11)).findings == ()


STEPS = (0.0, 1.0, 1.4, 2.6, 3.5, 5.0, 5.9, 7.2, 8.0)


def test_varying_slice_distances_are_refused_or_measured_by_the_policy(tmp_path: Path) -> None:
    spec = replace(SPEC, n_slices=9, slice_steps=STEPS)
    with pytest.raises(IncompleteSeries, match=r"vary from 1\.20 to 4\.50 mm"):
        audited(tmp_path, spec)
    audit = audit_stack(stack_of(tmp_path), FILL)
    assert audit.geometry.spacing_mm[2] == pytest.approx(1.2)
    assert audit.geometry.slice_steps == pytest.approx([step / 0.4 for step in STEPS])
    assert "vary from 1.20 to 4.50 mm" in audit.findings[0]


def test_slice_positions_rounded_to_one_decimal_are_equidistant(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, replace(SPEC, slice_spacing_mm=1.25))
    for path in written.paths:
        position = pydicom.dcmread(path).ImagePositionPatient
        change(path, ImagePositionPatient=[round(float(mm), 1) for mm in position])
    audit = audit_stack(stack_of(tmp_path), REJECT)
    assert audit.geometry.is_grid
    assert audit.findings == ()


def test_one_missing_thin_slice_is_not_taken_for_rounding_of_slice_positions(
    tmp_path: Path,
) -> None:
    with pytest.raises(IncompleteSeries, match="1 slices are missing"):
        audited(tmp_path, replace(without(1, count=40), slice_spacing_mm=0.3))


def test_slices_at_the_same_position_are_refused_under_any_policy(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, SPEC)
    position = pydicom.dcmread(written.paths[8]).ImagePositionPatient
    change(written.paths[7], ImagePositionPatient=position)
    with pytest.raises(IncompleteSeries, match="1 of 12 slices have the position of another slice"):
        audit_stack(stack_of(tmp_path), FILL)


def test_slices_shifted_against_each_other_in_a_series_are_refused(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, SPEC)
    x, y, z = pydicom.dcmread(written.paths[5]).ImagePositionPatient
    change(written.paths[5], ImagePositionPatient=[x + 2.0, y, z])
    with pytest.raises(UnsupportedGeometry, match=r"up to 2\.00 mm; at most 0\.25 mm"):
        audit_stack(stack_of(tmp_path), FILL)


def test_unusable_images_of_a_series_are_named_with_their_faults(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, SPEC)
    written.paths[3].write_bytes(written.paths[3].read_bytes()[:-100])
    change(written.paths[9], ImagePositionPatient=None)
    stack = stack_of(tmp_path)
    message = (
        f"2 of 12 images can't be used: {anonymous_name(written.paths[3], 4)} (its pixels break "
        f"off after 236 of 336 bytes), {anonymous_name(written.paths[9], 10)} (no valid Image "
        "Position (Patient))"
    )
    with pytest.raises(IncompleteSeries) as caught:
        audit_stack(stack, REJECT)
    assert str(caught.value).startswith(message)
    audit = audit_stack(stack, FILL)
    assert audit.findings[0] == f"{message}; left out"
    assert audit.geometry.slice_steps == pytest.approx([0, 1, 2, 4, 5, 6, 7, 8, 10, 11])


def test_only_the_first_of_many_unusable_images_of_a_series_are_named(tmp_path: Path) -> None:
    for path in write_series(tmp_path, 1, SPEC).paths:
        change(path, PixelSpacing=None)
    with pytest.raises(IncompleteSeries, match=r"12 of 12.*file \d+ \([^)]*\) \([^)]*\), \.\.\."):
        audit_stack(stack_of(tmp_path), REJECT)
    with pytest.raises(UnsupportedGeometry, match="0 usable slice"):
        audit_stack(stack_of(tmp_path), FILL)


def test_a_single_slice_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedGeometry, match="1 usable slice; a volume needs two"):
        audited(tmp_path, replace(SPEC, n_slices=1))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (GeometrySection(max_voxels=2000), "2016 voxels; geometry.max_voxels allows at most 2000"),
        (GeometrySection(max_extent_mm=50.0), "is 57 mm; geometry.max_extent_mm allows"),
    ],
)
def test_volumes_beyond_the_size_limits_are_refused(
    tmp_path: Path, policy: GeometrySection, message: str
) -> None:
    with pytest.raises(UnsupportedGeometry, match=message):
        audited(tmp_path, SPEC, policy)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (replace(SPEC, pixel_spacing_mm=(0.05, 0.05)), "12 slices of 12 x 14 pixels is 0.6 mm"),
        (replace(SPEC, slice_spacing_mm=0.5), "is 6.0 mm; a network needs at least 12 mm"),
        (replace(SPEC, rows=1, pixel_spacing_mm=(40.0, 4.0)), "1 x 14 pixels .* and two pixels"),
    ],
)
def test_a_volume_too_small_for_a_network_is_refused(
    tmp_path: Path, spec: SeriesSpec, message: str
) -> None:
    with pytest.raises(UnsupportedGeometry, match=message):
        audited(tmp_path, spec)


def test_a_ct_without_rescale_gives_a_finding(tmp_path: Path) -> None:
    for path in write_series(tmp_path, 1, SPEC).paths[:4]:
        dataset = pydicom.dcmread(path)
        del dataset.RescaleSlope, dataset.RescaleIntercept
        dataset.save_as(path)
    (finding,) = audit_stack(stack_of(tmp_path), REJECT).findings
    assert "4 of 12 slices have no Rescale Slope and Intercept" in finding


def test_the_typical_slice_spacing_ignores_a_gap(tmp_path: Path) -> None:
    write_series(tmp_path, 1, without(5))
    assert typical_spacing_mm(stack_of(tmp_path)) == 3.0


@settings(max_examples=40)
@given(
    tilt=st.sampled_from([0.0, -20.0, 9.0]),
    missing=st.sets(st.integers(1, 10), max_size=2),
    spacing_mm=st.floats(0.5, 6.0),
    orientation=st.sampled_from(
        [SPEC.orientation, CORONAL, SAGITTAL, (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)]
    ),
)
def test_the_geometry_of_a_volume_has_every_slice_at_the_position_in_its_header(
    tmp_path_factory: pytest.TempPathFactory,
    tilt: float,
    missing: set[int],
    spacing_mm: float,
    orientation: Any,
) -> None:
    spec = replace(
        without(*missing, count=30),
        slice_spacing_mm=spacing_mm,
        tilt_degrees=tilt,
        orientation=orientation,
        file_order="shuffled",
    )
    audit = audited(tmp_path_factory.mktemp("series"), spec, replace_limit(100.0))
    first_pixels = np.array([[k, 0, 0] for k in range(spec.n_slices)])
    found = audit.geometry.positions_lps(first_pixels)
    expected = [pydicom.dcmread(item.instance.path).ImagePositionPatient for item in audit.slices]
    np.testing.assert_allclose(found, np.array(expected, dtype=float), atol=0.01)


def replace_limit(max_gap_mm: float) -> GeometrySection:
    return GeometrySection(gaps=GapPolicy.FILL, max_gap_mm=max_gap_mm)

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tests.phantom import CORONAL, SHARP, Scanner, SeriesSpec, write_enhanced
from tests.unit.quality.suitability.series import (
    USUAL,
    Change,
    Spoil,
    in_eight_bits,
    outside_circle,
    padded,
    volume_of,
    with_attributes,
    with_hu,
    written,
)
from totalmap.finding import Finding, Severity, Verdict, verdict
from totalmap.quality.suitability.assess_suitability import assess_suitability

NOISY = Scanner(noise_hu=110.0, noise_grain_px=0.0)
LOW_DOSE = Scanner(noise_hu=40.0, noise_grain_px=0.0)
SMALL_FIELD = replace(USUAL, pixel_spacing_mm=(1.3, 1.3))
HEART = replace(USUAL, pixel_spacing_mm=(0.9, 0.9), centre_lps_mm=(0.0, 10.0, 300.0))
THICK = replace(USUAL, n_slices=18, slice_spacing_mm=7.0, slice_thickness_mm=7.0)
THICK_AND_CLOSE = replace(USUAL, slice_thickness_mm=8.0)


def clipped(low: int, high: int) -> Change:
    return lambda hu: np.clip(hu, low, high)


def with_hip(hu: NDArray[np.float64]) -> NDArray[np.float64]:
    """Puts metal into 6 x 6 pixels of each slice: 15 mL."""
    changed = hu.copy()
    changed[100:106, 60:66] = 3071
    return changed


def with_clip(hu: NDArray[np.float64]) -> NDArray[np.float64]:
    """Puts metal into a pixel of each slice: 0.4 mL."""
    changed = hu.copy()
    changed[100, 60] = 3071
    return changed


def even_air(hu: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(hu < -700, -1024, hu)


def with_iodine(hu: NDArray[np.float64]) -> NDArray[np.float64]:
    """Makes organs and blood as dense as in the portal venous phase, but not the muscles."""
    smooth = gaussian_filter(hu, 1.5)
    is_organ = (smooth > 20) & (smooth < 200) & ~outside_circle(hu, 0.45)
    return np.where(is_organ, hu + 110, hu)


def image_type(*words: str) -> Spoil:
    return with_attributes(ImageType=list(words))


BAD: dict[str, tuple[str, SeriesSpec, tuple[Spoil, ...]]] = {
    "a child by its age": ("CHILD", USUAL, (with_attributes(PatientAge="007Y"),)),
    "a child by its birth date": ("CHILD", USUAL, (with_attributes(PatientBirthDate="20040305"),)),
    "exported in 8 bits": ("EIGHT_BIT", USUAL, (in_eight_bits,)),
    "8 bits in 16": ("EIGHT_BIT", USUAL, (with_hu(lambda hu: np.rint(hu / 16) * 16),)),
    "a window for soft tissue": ("WINDOWED", USUAL, (with_hu(clipped(-160, 240)),)),
    "a window for bone": ("WINDOWED", USUAL, (with_hu(clipped(-450, 1050)),)),
    "no intercept": ("SHIFTED_HU", USUAL, (with_attributes(RescaleIntercept="0"),)),
    "no rescale": (
        "SHIFTED_HU",
        USUAL,
        (with_attributes(RescaleIntercept=None, RescaleSlope=None),),
    ),
    "padded, without intercept": (
        "SHIFTED_HU",
        USUAL,
        (with_hu(padded(-2000)), with_attributes(RescaleIntercept="1024")),
    ),
    "the intercept twice": ("SHIFTED_HU", USUAL, (with_attributes(RescaleIntercept="-2048"),)),
    "an offset": ("SHIFTED_HU", USUAL, (with_attributes(RescaleIntercept="-924"),)),
    "a scale": (
        "SHIFTED_HU",
        USUAL,
        (with_attributes(RescaleSlope="0.5", RescaleIntercept="-600"),),
    ),
    "an electron density": ("NOT_HU", USUAL, (with_attributes(RescaleType="ED"),)),
    "a reformat": ("REFORMAT", USUAL, (image_type("DERIVED", "SECONDARY", "AXIAL", "CSA MPR"),)),
    "a coronal reformat": (
        "REFORMAT",
        replace(USUAL, orientation=CORONAL, n_slices=64, slice_spacing_mm=5.0),
        (),
    ),
    "a maximum intensity projection": (
        "PROJECTION",
        USUAL,
        (image_type("DERIVED", "SECONDARY", "MIP"),),
    ),
    "an average": ("PROJECTION", USUAL, (image_type("DERIVED", "PRIMARY", "AVERAGE"),)),
    "a localizer": ("LOCALIZER", USUAL, (image_type("ORIGINAL", "PRIMARY", "LOCALIZER"),)),
    "slices too far apart": ("THICK_SLICES", THICK, ()),
    "slices too thick": ("THICK_SLICES", THICK_AND_CLOSE, ()),
    "too short": ("SHORT_COVERAGE", replace(USUAL, n_slices=20), ()),
    "a small field of view": ("CROPPED", SMALL_FIELD, ()),
    "a small field of view, air of the lung at its sides": ("CROPPED", HEART, ()),
    "a small circle at -1024": ("CROPPED", SMALL_FIELD, (with_hu(padded(-1024)),)),
    "a small circle at -2000": ("CROPPED", SMALL_FIELD, (with_hu(padded(-2000)),)),
    "a tilted gantry": ("TILT", replace(USUAL, tilt_degrees=12.0), ()),
    "a hip prosthesis": ("METAL", USUAL, (with_hu(with_hip),)),
    "noise": ("NOISE", replace(USUAL, scanner=NOISY), ()),
    "a tube at 70 kV": ("LOW_KVP", USUAL, (with_attributes(KVP="70"),)),
    "a kernel for the lung": ("SHARP_KERNEL", replace(USUAL, kernel="LUNG", scanner=SHARP), ()),
    "a computed series": ("DERIVED", USUAL, (image_type("DERIVED", "PRIMARY", "AXIAL"),)),
}

GOOD: dict[str, tuple[SeriesSpec, tuple[Spoil, ...]]] = {
    "usual": (USUAL, ()),
    "coarse": (SeriesSpec(), ()),
    "thin slices": (
        replace(USUAL, n_slices=110, slice_spacing_mm=1.0, slice_thickness_mm=1.0),
        (),
    ),
    "5 mm": (replace(USUAL, n_slices=24, slice_spacing_mm=5.0, slice_thickness_mm=5.0), ()),
    "low dose": (replace(USUAL, scanner=LOW_DOSE), ()),
    "chest": (replace(USUAL, centre_lps_mm=(0.0, 10.0, 300.0)), ()),
    "pelvis": (replace(USUAL, centre_lps_mm=(0.0, 10.0, -30.0)), ()),
    "off centre": (replace(USUAL, centre_lps_mm=(12.0, 25.0, 115.0)), ()),
    "feet first": (replace(USUAL, orientation=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)), ()),
    "padded with -2000": (USUAL, (with_hu(padded(-2000)),)),
    "padded with -3024": (USUAL, (with_hu(padded(-3024)),)),
    "a circle at -1024": (USUAL, (with_hu(padded(-1024)),)),
    "air made even": (USUAL, (with_hu(even_air),)),
    "cut off at -1000": (USUAL, (with_hu(clipped(-1000, 3071)),)),
    "a contrast agent": (
        USUAL,
        (with_hu(with_iodine), with_attributes(ContrastBolusAgent="IODINE")),
    ),
    "a surgical clip": (USUAL, (with_hu(with_clip),)),
    "fractions of HU": (
        USUAL,
        (with_attributes(RescaleSlope="1.001", RescaleIntercept="-1025.02"),),
    ),
    "16 years old": (USUAL, (with_attributes(PatientAge="016Y"),)),
    "no age, no birth date": (USUAL, (with_attributes(PatientAge="", PatientBirthDate=""),)),
    "unit unspecified": (USUAL, (with_attributes(RescaleType="US"),)),
    "an unknown kernel and voltage": (USUAL, (with_attributes(ConvolutionKernel="", KVP=None),)),
}


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [one.code for one in findings]


@pytest.mark.parametrize("what", BAD)
def test_an_unsuitable_series_gets_its_one_suitability_finding_and_is_not_rejected(
    what: str, tmp_path: Path
) -> None:
    code, spec, spoils = BAD[what]
    findings = assess_suitability(written(tmp_path, spec, *spoils), "total")
    assert codes(findings) == [code]
    assert verdict(findings) is not Verdict.REJECT


@pytest.mark.parametrize("what", GOOD)
def test_a_suitable_series_gets_no_suitability_finding(what: str, tmp_path: Path) -> None:
    spec, spoils = GOOD[what]
    assert assess_suitability(written(tmp_path, spec, *spoils), "total") == ()


@pytest.mark.parametrize("body", range(2, 10))
def test_scans_of_different_bodies_get_no_suitability_finding(body: int, tmp_path: Path) -> None:
    assert assess_suitability(written(tmp_path, body=body), "total") == ()


def test_a_multi_frame_series_gets_no_suitability_finding(tmp_path: Path) -> None:
    write_enhanced(tmp_path, 1, USUAL)
    assert assess_suitability(volume_of(tmp_path), "total") == ()


def test_the_real_ct_is_found_unsuitable_for_its_short_coverage_only(real_ct: Path) -> None:
    (finding,) = assess_suitability(volume_of(real_ct), "total")
    assert (finding.code, finding.value, finding.limit) == ("SHORT_COVERAGE", 38.0, 100.0)


def test_the_suitability_finding_on_metal_has_its_volume_limit_and_unit(tmp_path: Path) -> None:
    (metal,) = assess_suitability(written(tmp_path, USUAL, with_hu(with_hip)), "total")
    assert metal.value == pytest.approx(15.6, rel=0.15)
    assert (metal.limit, metal.unit, metal.severity) == (2.0, "mL", Severity.REVIEW)
    assert "16 mL of metal" in metal.sentence or "15 mL of metal" in metal.sentence


@pytest.mark.parametrize("task", ["aortic_dissection", "coronary_arteries_LEGACY", "liver_vessels"])
def test_a_series_without_contrast_agent_is_reported_for_tasks_that_need_one(
    task: str, tmp_path: Path
) -> None:
    (finding,) = assess_suitability(written(tmp_path / "without"), task)
    assert (finding.code, finding.severity) == ("CONTRAST", Severity.REVIEW)
    assert task in finding.sentence
    agent = with_attributes(ContrastBolusAgent="IODINE")
    assert assess_suitability(written(tmp_path / "with", USUAL, agent), task) == ()


def test_several_reasons_for_an_unsuitable_series_give_several_findings(tmp_path: Path) -> None:
    spec = replace(SMALL_FIELD, n_slices=20)
    findings = assess_suitability(
        written(tmp_path, spec, with_attributes(PatientAge="009M")), "total"
    )
    assert codes(findings) == ["CHILD", "SHORT_COVERAGE", "CROPPED"]


def test_the_suitability_finding_on_a_child_holds_no_patient_data(tmp_path: Path) -> None:
    findings = assess_suitability(
        written(tmp_path, USUAL, with_attributes(PatientAge="013Y", PatientBirthDate="20070203")),
        "total",
    )
    (child,) = findings
    assert child.value is None
    assert child.sentence.startswith("The patient is younger than 16 years:")
    assert not any(word in repr(child) for word in ("13", "2007", "0203", "PHANTOM"))


USUAL_MR = replace(USUAL, modality="MR")
MR: list[tuple[tuple[str, ...], SeriesSpec, tuple[Spoil, ...]]] = [
    ((), USUAL_MR, ()),
    ((), replace(THICK, modality="MR"), ()),
    ((), replace(USUAL_MR, orientation=CORONAL, n_slices=30), ()),
    (("SHORT_COVERAGE",), replace(USUAL_MR, n_slices=20), ()),
    (("CHILD",), USUAL_MR, (with_attributes(PatientAge="015Y"),)),
    (("PROJECTION",), USUAL_MR, (image_type("DERIVED", "SECONDARY", "PROJECTION IMAGE"),)),
]


@pytest.mark.parametrize(("expected", "spec", "spoils"), MR)
def test_the_suitability_of_an_mr_series_is_judged_by_its_headers_only(
    expected: tuple[str, ...], spec: SeriesSpec, spoils: tuple[Spoil, ...], tmp_path: Path
) -> None:
    assert (
        tuple(codes(assess_suitability(written(tmp_path, spec, *spoils), "total_mr"))) == expected
    )


def test_the_suitability_of_a_volume_without_headers_is_judged_by_its_geometry_and_values(
    tmp_path: Path,
) -> None:
    volume = replace(written(tmp_path / "thick", THICK), slices=())
    assert [one.code for one in assess_suitability(volume, "total")] == ["THICK_SLICES"]
    window = replace(volume, voxels=volume.voxels.clip(-160, 240))
    assert "WINDOWED" in {one.code for one in assess_suitability(window, "total")}
    assert "CONTRAST" in {one.code for one in assess_suitability(volume, "liver_vessels")}
    of_mr = replace(volume, modality="MR")
    assert assess_suitability(of_mr, "total_mr") == ()

"""Chooses the series to segment: filters first, then a ranking, with a reason for every series.

The result does not depend on the order of the files.
"""

import re
from dataclasses import dataclass

import numpy as np

from totalmap.dicom.geometry import slice_normal
from totalmap.dicom.study import Series, Study
from totalmap.errors import NoSuitableSeries
from totalmap.log import get_logger
from totalmap.settings import SelectionSection

log = get_logger()

# Image Type values (PS3.3 C.8.2.1.1.1 and C.7.6.1.1.2) of images that are not a stack of slices.
UNSUITABLE_IMAGE_TYPES = ("LOCALIZER", "MIP", "MPR", "PROJECTION IMAGE", "SECONDARY")

# Kernels for bone and lung. TotalSegmentator was trained mostly on soft kernels. Siemens: the
# number grows with sharpness, from 10 to 89; GE, Philips and Canon use words.
SHARP_KERNEL_NUMBER = 50
SHARP_KERNEL_WORDS = ("BONE", "LUNG", "EDGE", "SHARP", "DETAIL", "YB", "YC")
_SIEMENS_KERNEL = re.compile(r"^[A-Z][A-Z]?(\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """Whether a series was chosen, and why, in words for a radiographer."""

    series: Series
    chosen: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidate:
    series: Series
    slices: int
    spacing_mm: float
    is_sharp: bool
    is_original: bool

    def describe(self) -> str:
        kernel = "sharp" if self.is_sharp else "soft"
        return f"{self.slices} slices every {self.spacing_mm:g} mm, {kernel} kernel"


def judge(study: Study, rules: SelectionSection) -> tuple[Verdict, ...]:
    """Returns the verdict on every series, the chosen one (if any) first.

    Order of preference: original before derived, soft before sharp kernel (a rule), finer
    slices, more slices, lower series number, UID.
    """
    candidates: list[_Candidate] = []
    rejected: list[Verdict] = []
    for series in study.series:
        reason = _why_not(series, rules)
        if reason is None:
            candidates.append(_candidate(series))
        else:
            rejected.append(Verdict(series=series, chosen=False, reason=reason))
    candidates.sort(key=lambda candidate: _rank(candidate, rules))
    suitable = [
        Verdict(
            series=candidate.series,
            chosen=place == 0,
            reason=(
                f"chosen: {candidate.describe()}; best of {len(candidates)} suitable series"
                if place == 0
                else f"suitable, ranked {place + 1} of {len(candidates)}: {candidate.describe()}"
            ),
        )
        for place, candidate in enumerate(candidates)
    ]
    rejected.sort(key=lambda verdict: _number_and_uid(verdict.series))
    return (*suitable, *rejected)


def chosen_series(verdicts: tuple[Verdict, ...]) -> Series:
    """Returns the chosen series.

    Raises:
        NoSuitableSeries: No series passed the filters; the message lists the reasons.
    """
    for verdict in verdicts:
        if verdict.chosen:
            slices = len(verdict.series.instances)
            log.info("series_selected", series_uid=verdict.series.uid, slices=slices)
            return verdict.series
    reasons = "; ".join(sorted({verdict.reason for verdict in verdicts}))
    raise NoSuitableSeries(f"none of {len(verdicts)} series can be segmented: {reasons}")


def _why_not(series: Series, rules: SelectionSection) -> str | None:
    """Returns why the series can't be segmented, or None."""
    if not any(instance.has_pixels for instance in series.instances):
        return "no images"
    if series.modality not in rules.modalities:
        return f"modality is {series.modality or 'empty'}, not {' or '.join(rules.modalities)}"
    image_type = [value.upper() for value in _values(series, "ImageType")]
    unsuitable = [value for value in UNSUITABLE_IMAGE_TYPES if value in image_type]
    if unsuitable:
        return f"image type is {unsuitable[0]}"
    slices = len(series.instances)
    if slices < rules.min_slices:
        return f"{slices} slices, at least {rules.min_slices} are needed"
    positioned = all(_is_positioned(series, index) for index in range(slices))
    if not positioned:
        return "slices without position or orientation"
    spacing_mm = _slice_spacing_mm(series)
    if spacing_mm > rules.max_slice_spacing_mm:
        limit = rules.max_slice_spacing_mm
        return f"slices are {spacing_mm:g} mm apart, at most {limit:g} mm are allowed"
    return None


def _is_positioned(series: Series, index: int) -> bool:
    header = series.instances[index].header
    position = header.get("ImagePositionPatient") or ()
    orientation = header.get("ImageOrientationPatient") or ()
    return len(position) == 3 and len(orientation) == 6


def _candidate(series: Series) -> _Candidate:
    image_type = _values(series, "ImageType")
    return _Candidate(
        series=series,
        slices=len(series.instances),
        spacing_mm=_slice_spacing_mm(series),
        is_sharp=any(_is_sharp(kernel) for kernel in _values(series, "ConvolutionKernel")[:1]),
        is_original="ORIGINAL" in image_type,
    )


def _rank(candidate: _Candidate, rules: SelectionSection) -> tuple[object, ...]:
    return (
        not candidate.is_original,
        rules.soft_kernel_first and candidate.is_sharp,
        round(candidate.spacing_mm, 2),
        -candidate.slices,
        *_number_and_uid(candidate.series),
    )


def _number_and_uid(series: Series) -> tuple[float, str]:
    """Returns what decides last, and always differs."""
    return (float("inf") if series.number is None else series.number, series.uid)


def _slice_spacing_mm(series: Series) -> float:
    """Returns the median distance of neighbouring slices in mm, rounded to 1 um."""
    normal = slice_normal(series.header.ImageOrientationPatient)
    positions = sorted(
        float(np.dot(normal, np.asarray(one.header.ImagePositionPatient, dtype=np.float64)))
        for one in series.instances
    )
    return round(float(np.median(np.diff(positions))), 3)


def _values(series: Series, keyword: str) -> list[str]:
    value = series.header.get(keyword)
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(part) for part in value]


def _is_sharp(kernel: str) -> bool:
    name = kernel.upper()
    siemens = _SIEMENS_KERNEL.match(name)
    if siemens:
        return int(siemens.group(1)) >= SHARP_KERNEL_NUMBER
    return any(word in name for word in SHARP_KERNEL_WORDS)

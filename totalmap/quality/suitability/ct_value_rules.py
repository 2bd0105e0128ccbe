"""Assesses the values of a CT: HU, windows, cropping, metal, noise."""

from collections.abc import Callable, Iterator

from totalmap.finding import Finding, Severity
from totalmap.quality.suitability.measure_ct_values import METAL_HU, Measures
from totalmap.texts.catalogue import Message

HU = "[hnsf'U]"
"""Hounsfield units, in UCUM."""

# Number of values in 8 bits. A CT has thousands of values among enough voxels.
GREY_LEVELS = 256
MIN_VOXELS = 10_000
# A viewing window moves all values beyond its ends to the ends, where they pile up. 12 bits end at
# 2047 or 3071 HU, where only metal is cut off, and at -1024 HU, where some of the air is.
CEILING_BELOW_HU = 2000
CEILING_SHARE = 0.0005
FLOOR_ABOVE_HU = -900
FLOOR_SHARE = 0.2
# Every body holds fat, -100 HU, and nearly every image air, -1000 HU.
LIGHTEST_HU = -50
MIN_TISSUE = 0.4
AIR_HU = -1000
MAX_AIR_SHIFT_HU = 50
# 0.03 in whole bodies, 0.33 in cropped ones.
MAX_BODY_AT_SIDE = 0.1
# About a pedicle screw. Dental fillings and clips are smaller.
MAX_METAL_ML = 2.0
# Above, fat and muscle, which are 150 HU apart, can hardly be distinguished in single voxels.
MAX_NOISE_HU = 60.0


def value_findings(measures: Measures) -> tuple[Finding, ...]:
    """Returns the findings about the values of a CT.

    If the values are not HU, only this is reported, since the other rules need HU.
    """
    for rule in _HU_RULES:
        findings = tuple(rule(measures))
        if findings:
            return findings
    return (*_cropped(measures), *_metal(measures), *_noise(measures))


def _eight_bit(measures: Measures) -> Iterator[Finding]:
    if measures.grey_levels <= GREY_LEVELS and measures.voxels >= MIN_VOXELS:
        yield Finding(
            code="EIGHT_BIT",
            severity=Severity.REVIEW,
            sentence=Message("finding.EIGHT_BIT", levels=measures.grey_levels, limit=GREY_LEVELS),
            value=measures.grey_levels,
            limit=GREY_LEVELS,
        )


def _cut_off_above(measures: Measures) -> Iterator[Finding]:
    if measures.highest_hu < CEILING_BELOW_HU and measures.at_highest >= CEILING_SHARE:
        yield _windowed(measures.highest_hu, "above", CEILING_BELOW_HU)


def _cut_off_below(measures: Measures) -> Iterator[Finding]:
    if measures.lowest_hu > FLOOR_ABOVE_HU and measures.at_lowest >= FLOOR_SHARE:
        yield _windowed(measures.lowest_hu, "below", FLOOR_ABOVE_HU)


def _windowed(value: int, side: str, limit: int) -> Finding:
    return Finding(
        code="WINDOWED",
        severity=Severity.REVIEW,
        sentence=Message(
            "finding.WINDOWED", side=Message(f"word.{side}"), value=value, limit=limit
        ),
        value=value,
        limit=limit,
        unit=HU,
    )


def _nothing_light(measures: Measures) -> Iterator[Finding]:
    if measures.lightest_hu > LIGHTEST_HU:
        yield _not_hu(
            Message("finding.SHIFTED_HU.light", value=measures.lightest_hu, limit=LIGHTEST_HU),
            measures.lightest_hu,
            LIGHTEST_HU,
            HU,
        )


def _little_tissue(measures: Measures) -> Iterator[Finding]:
    percent = round(100 * measures.tissue)
    if measures.tissue < MIN_TISSUE:
        yield _not_hu(
            Message("finding.SHIFTED_HU.tissue", percent=percent, limit=100 * MIN_TISSUE),
            percent,
            100 * MIN_TISSUE,
            "%",
        )


def _odd_air(measures: Measures) -> Iterator[Finding]:
    air_hu = measures.air_hu
    if air_hu is None or measures.body_at_side > MAX_BODY_AT_SIDE:
        return  # the air at the sides of a cropped body is that of a lung
    if abs(air_hu - AIR_HU) > MAX_AIR_SHIFT_HU:
        yield _not_hu(
            Message(
                "finding.SHIFTED_HU.air",
                value=float(air_hu),
                low=AIR_HU - MAX_AIR_SHIFT_HU,
                high=AIR_HU + MAX_AIR_SHIFT_HU,
            ),
            air_hu,
            AIR_HU,
            HU,
        )


def _not_hu(sentence: Message, value: float, limit: float, unit: str) -> Finding:
    return Finding(
        code="SHIFTED_HU",
        severity=Severity.REVIEW,
        sentence=sentence,
        value=value,
        limit=limit,
        unit=unit,
    )


# In this order, so that the cause is reported and not its effect on another rule.
_HU_RULES: tuple[Callable[[Measures], Iterator[Finding]], ...] = (
    _eight_bit,
    _cut_off_above,
    _nothing_light,
    _cut_off_below,
    _little_tissue,
    _odd_air,
)


def _cropped(measures: Measures) -> Iterator[Finding]:
    if measures.body_at_side > MAX_BODY_AT_SIDE:
        percent = round(100 * measures.body_at_side)
        yield Finding(
            code="CROPPED",
            severity=Severity.REVIEW,
            sentence=Message("finding.CROPPED", percent=percent, limit=100 * MAX_BODY_AT_SIDE),
            value=percent,
            limit=100 * MAX_BODY_AT_SIDE,
            unit="%",
        )


def _metal(measures: Measures) -> Iterator[Finding]:
    if measures.metal_ml > MAX_METAL_ML:
        yield Finding(
            code="METAL",
            severity=Severity.REVIEW,
            sentence=Message(
                "finding.METAL",
                volume_ml=float(measures.metal_ml),
                hu=METAL_HU,
                limit=MAX_METAL_ML,
            ),
            value=round(measures.metal_ml, 1),
            limit=MAX_METAL_ML,
            unit="mL",
        )


def _noise(measures: Measures) -> Iterator[Finding]:
    if measures.noise_hu is not None and measures.noise_hu > MAX_NOISE_HU:
        yield Finding(
            code="NOISE",
            severity=Severity.REVIEW,
            sentence=Message("finding.NOISE", value=float(measures.noise_hu), limit=MAX_NOISE_HU),
            value=round(measures.noise_hu, 1),
            limit=MAX_NOISE_HU,
            unit=HU,
        )

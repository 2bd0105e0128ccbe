"""Assesses vertebrae: their order and distances, and how ribs and sacrum match them."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from totalmap.finding import Finding, Severity
from totalmap.quality.plausibility.anatomy_table import (
    CERVICAL,
    LEFT,
    LOWEST_VERTEBRA,
    RIBS,
    RIGHT,
    level_name,
    vertebra_name,
)
from totalmap.quality.plausibility.structure_statistics_lookup import Body, SpineScale
from totalmap.structures import Face
from totalmap.texts.catalogue import Message

# Expected distance of two neighbouring vertebrae, as a multiple of the distances around them.
_SHORTEST_STEP, _LONGEST_STEP = 0.6, 1.45
_NEIGHBOURING_STEPS = 2

# The inner end of a rib's label lies between the disc above its vertebra, where the head is, and
# the vertebra's centre of mass; those of the first and the last two ribs beside the middle of it.
_HEAD_ABOVE_LEVELS = 0.25
_AT_THE_MIDDLE = (1, 11, 12)
# A rib matches its own vertebra or is off by whole numbers; the limit lies about half way.
_RIB_LIMIT_LEVELS = 0.6
_MINIMUM_RIBS, _MINIMUM_SHARE = 2, 0.25
# The scale is exact enough up to this distance beyond the last vertebra.
_RIB_REACH_LEVELS = 1.0
# A rib whose inner end lies further from the spine is incomplete.
_HEAD_REACH_MM = 45.0

# The top of the sacrum lies half a vertebra below the centre of L5, and one and a half below L4.
_SACRUM_LIMIT_LEVELS = 1.1
_SACRUM, _ABOVE_SACRUM = "sacrum", vertebra_name(LOWEST_VERTEBRA)


def vertebra_order(body: Body) -> Iterator[Finding]:
    """Yields VERTEBRA_ORDER where two neighbouring vertebrae are in reverse order."""
    for number, next_number in pairwise(body.vertebrae):
        upper, lower = vertebra_name(number), vertebra_name(next_number)
        above = float(body.centre(upper)[2] - body.centre(lower)[2])
        if above <= 0 and _can_be_compared(body, upper, lower):
            yield Finding(
                code="VERTEBRA_ORDER",
                severity=Severity.REJECT,
                sentence=Message(
                    "finding.VERTEBRA_ORDER",
                    lower=level_name(next_number),
                    upper=level_name(number),
                    distance_mm=abs(above),
                ),
                structure=lower,
                value=round(above, 1),
                limit=0.0,
                unit="mm",
            )


def vertebra_missing(body: Body) -> Iterator[Finding]:
    """Yields VERTEBRA_MISSING for vertebrae between others that were found.

    Vertebrae beside one that a side of the field of view cuts may be out of view.
    """
    for upper, lower in pairwise(body.vertebrae):
        if any(body.is_cut_at_a_side(vertebra_name(number)) for number in (upper, lower)):
            continue
        for missing in range(upper + 1, lower):
            if vertebra_name(missing) in body.labels:
                yield Finding(
                    code="VERTEBRA_MISSING",
                    severity=Severity.REJECT,
                    sentence=Message(
                        "finding.VERTEBRA_MISSING",
                        missing=level_name(missing),
                        upper=level_name(upper),
                        lower=level_name(lower),
                    ),
                    structure=vertebra_name(missing),
                )


def vertebra_step(body: Body) -> Iterator[Finding]:
    """Yields VERTEBRA_STEP where two neighbours are unusually close or far apart."""
    scale = body.scale
    if scale is None:
        return
    steps = -np.diff(scale.z_mm) / np.diff(scale.levels)
    for n, step in enumerate(steps):
        around = np.delete(steps, n)[max(n - _NEIGHBOURING_STEPS, 0) : n + _NEIGHBOURING_STEPS]
        share = float(step / np.median(around))
        if _SHORTEST_STEP <= share <= _LONGEST_STEP:
            continue
        upper, lower = level_name(scale.levels[n]), level_name(scale.levels[n + 1])
        yield Finding(
            code="VERTEBRA_STEP",
            severity=Severity.REVIEW,
            sentence=Message(
                "finding.VERTEBRA_STEP",
                upper=upper,
                lower=lower,
                times=share,
                shortest=_SHORTEST_STEP,
                longest=_LONGEST_STEP,
            ),
            structure=vertebra_name(int(scale.levels[n])),
            value=round(share, 2),
            limit=_SHORTEST_STEP if share < 1 else _LONGEST_STEP,
            unit="1",
        )


def rib_vertebra(body: Body) -> Iterator[Finding]:
    """Yields RIB_VERTEBRA where ribs do not lie beside the vertebrae of their number."""
    scale = body.scale
    if scale is None:
        return
    heads = [
        offset
        for side in (LEFT, RIGHT)
        for number in range(1, RIBS + 1)
        if (offset := _head_offset(body, scale, side, number)) is not None
    ]
    below = [offset for offset in heads if offset > _RIB_LIMIT_LEVELS]
    above = [offset for offset in heads if offset < -_RIB_LIMIT_LEVELS]
    off = max(below, above, key=len)
    if len(off) < max(_MINIMUM_RIBS, _MINIMUM_SHARE * len(heads)):
        return
    offset = float(np.median(off))
    yield Finding(
        code="RIB_VERTEBRA",
        severity=Severity.REJECT,
        sentence=Message(
            "finding.RIB_VERTEBRA",
            off=len(off),
            of=len(heads),
            offset=abs(offset),
            side=Message("word.below" if offset > 0 else "word.above"),
            limit=_RIB_LIMIT_LEVELS,
        ),
        value=round(offset, 2),
        limit=_RIB_LIMIT_LEVELS,
        unit="{vertebrae}",
    )


def sacrum(body: Body) -> Iterator[Finding]:
    """Yields SACRUM where the vertebra above the sacrum is not L5."""
    if _SACRUM not in body or _ABOVE_SACRUM not in body.labels or not body.vertebrae:
        return
    if Face.SUPERIOR in body.faces(_SACRUM):
        return
    lowest = body.vertebrae[-1]
    if body.is_cut_at_a_side(vertebra_name(lowest)):
        return
    top = float(body.end(_SACRUM, Face.SUPERIOR)[2])
    gap = float(body.centre(vertebra_name(lowest))[2]) - top
    if lowest != LOWEST_VERTEBRA:
        yield _mismatch(Message("finding.SACRUM.lowest", lowest=level_name(lowest)))
    elif body.scale is not None:
        levels = gap / body.scale.step_at(LOWEST_VERTEBRA)
        if not -_SACRUM_LIMIT_LEVELS < levels < _SACRUM_LIMIT_LEVELS:
            sentence = Message(
                "finding.SACRUM.distance",
                levels=abs(levels),
                side=Message("word.above" if levels > 0 else "word.below"),
                limit=_SACRUM_LIMIT_LEVELS,
            )
            yield _mismatch(sentence, round(levels, 2))


def _can_be_compared(body: Body, upper: str, lower: str) -> bool:
    """Returns whether the centres of two vertebrae show which one lies higher.

    Only the spinous process of a cut vertebra may be in view, and it hangs down beside the next
    vertebra. Then the order follows from which of the two vertebrae the edge cuts.
    """
    if body.reaches_whole_height(upper) and body.reaches_whole_height(lower):
        return True
    of_upper, of_lower = set(body.faces(upper)), set(body.faces(lower))
    return Face.SUPERIOR in of_lower - of_upper or Face.INFERIOR in of_upper - of_lower


def _mismatch(sentence: Message, levels: float | None = None) -> Finding:
    return Finding(
        code="SACRUM",
        severity=Severity.REJECT,
        sentence=sentence,
        structure=_ABOVE_SACRUM,
        value=levels,
        limit=None if levels is None else _SACRUM_LIMIT_LEVELS,
        unit="" if levels is None else "{vertebrae}",
    )


def _head_offset(body: Body, scale: SpineScale, side: str, number: int) -> float | None:
    """Returns by how many vertebrae the head of a rib lies below its expected level."""
    name = f"rib{side}_{number}"
    if name not in body:
        return None
    inner = body.end(name, Face.RIGHT if side == LEFT else Face.LEFT)
    spine, level = body.spine_at(float(inner[2])), scale.level_at(float(inner[2]))
    if spine is None or level is None:
        return None
    if not scale.levels[0] - _RIB_REACH_LEVELS <= level <= scale.levels[-1] + _RIB_REACH_LEVELS:
        return None
    if abs(float(inner[0]) - spine[0]) > _HEAD_REACH_MM:
        return None
    expected = CERVICAL + number - (0.0 if number in _AT_THE_MIDDLE else _HEAD_ABOVE_LEVELS)
    return level - expected

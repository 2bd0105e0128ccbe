"""Where structures lie on the scale of vertebrae, and which should be there."""

from collections.abc import Iterator

import numpy as np

from totalmap.display_names import in_sentence
from totalmap.finding import Finding, Severity
from totalmap.quality.plausibility.anatomy import (
    Anatomy,
    Presence,
    Range,
    known_structures,
    level_name,
)
from totalmap.quality.plausibility.body import Body, SpineScale

# Beyond its usual levels by more than this: unusual, and nothing that a living body has.
_UNUSUAL_LEVELS, _IMPOSSIBLE_LEVELS = 1.0, 3.0
# What is that far inside the field of view is in view, whoever the patient is; the further from the
# spine, the more people differ.
_IN_VIEW_MM, _IN_VIEW_SHARE = 20.0, 0.2
_AROUND_LEVELS = 0.5


def level(body: Body) -> Iterator[Finding]:
    """Yields LEVEL for whole structures that lie far above or below their usual levels.

    Of what is in pieces, or runs aslant and is cut at a side, the part in view has another centre.
    """
    if body.scale is None:
        return
    for name, known in known_structures().items():
        if name not in body or not body.is_complete(name):
            continue
        if known.levels is None or not known.is_one_piece:
            continue
        at = body.scale.level_at(float(body.centre(name)[2]))
        if at is None:
            continue
        excess = known.levels.excess(at)
        if excess > _UNUSUAL_LEVELS:
            yield _off_level(name, known.levels, at, excess)


def absent(body: Body) -> Iterator[Finding]:
    """Yields ABSENT for structures of everybody that were not found though their place is in view.

    The place is the middle of its levels, and half a vertebra more: of what lies further up or
    down, something still reaches into view.
    """
    if body.scale is None:
        return
    for name, known in known_structures().items():
        if known.presence is not Presence.USUAL or name in body or name not in body.labels:
            continue
        if known.levels is not None and _is_in_view(body, body.scale, known, known.levels):
            yield Finding(
                code="ABSENT",
                severity=Severity.REVIEW,
                sentence=f"The {in_sentence(name)} was not found, though its place "
                f"({_between(known.levels)}) is in view.",
                structure=name,
            )


def _off_level(name: str, usual: Range, at: float, excess: float) -> Finding:
    is_impossible = excess > _IMPOSSIBLE_LEVELS
    return Finding(
        code="LEVEL",
        severity=Severity.REJECT if is_impossible else Severity.REVIEW,
        sentence=f"The {in_sentence(name)} lies at the level of {level_name(at)}, {excess:.1f} "
        f"vertebrae away from its usual levels ({_between(usual)}).",
        structure=name,
        value=round(excess, 1),
        limit=_IMPOSSIBLE_LEVELS if is_impossible else _UNUSUAL_LEVELS,
        unit="{vertebrae}",
    )


def _between(levels: Range) -> str:
    high, low = level_name(levels.low), level_name(levels.high)
    return high if high == low else f"{high} to {low}"


def _is_in_view(body: Body, scale: SpineScale, known: Anatomy, levels: Range) -> bool:
    if known.left_mm is None or known.back_mm is None:
        return False
    for at in (levels.middle - _AROUND_LEVELS, levels.middle + _AROUND_LEVELS):
        z = scale.z_at(at)
        spine = None if z is None else body.spine_at(z)
        if z is None or spine is None:
            return False
        away = float(np.hypot(known.left_mm, known.back_mm))
        place = np.array([spine[0] + known.left_mm, spine[1] + known.back_mm, z])
        if not body.table.field.holds(place, _IN_VIEW_MM + _IN_VIEW_SHARE * away):
            return False
    return True

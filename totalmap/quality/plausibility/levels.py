"""Rules about the level of structures on the scale of vertebrae, and about missing structures."""

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

# More than this outside its usual levels, a structure is unusual, or impossible in a living body.
_UNUSUAL_LEVELS, _IMPOSSIBLE_LEVELS = 1.0, 3.0
# A place is in view in every patient if it lies this far inside the field of view. People differ
# more at a greater distance from the spine: 20 mm, and a fifth of that distance.
_IN_VIEW_MM, _IN_VIEW_SHARE = 20.0, 0.2
_AROUND_LEVELS = 0.5


def level(body: Body) -> Iterator[Finding]:
    """Yields LEVEL for whole structures that lie far above or below their usual levels.

    Structures in pieces are left out, since the centre of the pieces in view is another one.
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
    """Yields ABSENT for structures that everybody has and that were not found in view.

    A structure counts as in view if the middle of its usual levels is, with half a vertebra on
    both sides.
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
                sentence=f"The {in_sentence(name)} was not found, although its usual levels "
                f"({_between(known.levels)}) are in view.",
                structure=name,
            )


def _off_level(name: str, usual: Range, at: float, excess: float) -> Finding:
    is_impossible = excess > _IMPOSSIBLE_LEVELS
    return Finding(
        code="LEVEL",
        severity=Severity.REJECT if is_impossible else Severity.REVIEW,
        sentence=f"The {in_sentence(name)} lies at the level of {level_name(at)}, {excess:.1f} "
        f"vertebrae outside its expected levels ({_between(usual)}).",
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

"""Assesses the position of structures: side, orientation, level, and missing structures.

Rules about side and orientation apply to any field of view. Rules about levels and missing
structures need the scale of vertebrae.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from totalmap.finding import Finding, Severity
from totalmap.quality.plausibility.anatomy_table import (
    LEFT,
    RIGHT,
    Anatomy,
    Presence,
    Range,
    anatomy,
    known_structures,
    level_name,
)
from totalmap.quality.plausibility.structure_statistics_lookup import Body, SpineScale
from totalmap.texts.catalogue import Joined, Message, PairName, StructureName

# Closer to the middle, a structure may lie on either side, since a spine may be bent.
_MARGIN_MM = 10.0
# A structure whose second largest piece has this share of it is in pieces.
_IN_PIECES_SHARE = 0.1
_NAMED = 3  # pairs that a sentence names
# Unpaired organs show the sides if they usually lie this far from the middle.
_ASIDE_MM = 12.0
_SITUS_ORGANS = (
    "liver",
    "gallbladder",
    "spleen",
    "stomach",
    "heart",
    "aorta",
    "inferior_vena_cava",
    "superior_vena_cava",
)
# One organ on the wrong side may be a disease. If two or more are, and fewer are on the correct
# side, the image is mirrored or the situs inverted.
_SITUS_MINIMUM = 2

# Structures whose levels differ by more must lie in this order.
_APART_LEVELS = 3.0
_IN_FRONT_MM, _BEHIND_MM = -40.0, 30.0
_MINIMUM_JUDGED = 3
_MOST = 0.7

# More than this outside its usual levels, a structure is unusual, or impossible in a living body.
_UNUSUAL_LEVELS, _IMPOSSIBLE_LEVELS = 1.0, 3.0
# A place is in view in every patient if it lies this far inside the field of view. People differ
# more at a greater distance from the spine: 20 mm, and a fifth of that distance.
_IN_VIEW_MM, _IN_VIEW_SHARE = 20.0, 0.2
_AROUND_LEVELS = 0.5


def mirrored(body: Body) -> Iterator[Finding]:
    """Yields MIRRORED where the left structure of a pair lies to the right of the right one.

    Small pieces at the edge of the field of view may lie on either side. Therefore pairs in pieces
    are reviewed and not rejected, unless most pairs are swapped.
    """
    swapped = [pair for pair in body.pairs if _to_the_left(body, *pair) < -_MARGIN_MM]
    if not swapped:
        return
    sure = [
        pair for pair in swapped if all(body.second_share(name) < _IN_PIECES_SHARE for name in pair)
    ]
    most = 2 * len(swapped) > len(body.pairs)
    names = Joined(tuple(PairName(left) for left, _ in swapped[:_NAMED]))
    more = len(swapped) - _NAMED
    some = Message("names.more", names=names, more=more) if more > 0 else names
    yield Finding(
        code="MIRRORED",
        severity=Severity.REJECT if sure or most else Severity.REVIEW,
        sentence=Message("finding.MIRRORED", swapped=len(swapped), of=len(body.pairs), names=some),
        structure=swapped[0][0] if len(swapped) == 1 else None,
        value=float(len(swapped)),
        limit=0.0,
        unit="{pairs}",
    )


def situs(body: Body) -> Iterator[Finding]:
    """Yields SITUS where most unpaired organs lie on the wrong side, and SIDE where a few do."""
    sides = {name: _on_its_side_mm(body, name) for name in _SITUS_ORGANS if name in body}
    wrong = [name for name, side in sides.items() if side is not None and side < -_MARGIN_MM]
    correct = [name for name, side in sides.items() if side is not None and side > _MARGIN_MM]
    if len(wrong) >= _SITUS_MINIMUM and len(wrong) > len(correct):
        yield Finding(
            code="SITUS",
            severity=Severity.REJECT,
            sentence=Message(
                "finding.SITUS",
                wrong=len(wrong),
                limit=_SITUS_MINIMUM - 1,
                names=Joined(tuple(map(StructureName, wrong))),
            ),
            value=float(len(wrong)),
            limit=float(_SITUS_MINIMUM - 1),
            unit="{organs}",
        )
        return
    yield from (_wrong_side(body, name) for name in wrong if body.is_complete(name))


def wrong_side(body: Body) -> Iterator[Finding]:
    """Yields SIDE for a whole structure on the wrong side whose partner was not found."""
    paired = {name for pair in body.pairs for name in pair}
    for name in body.names:
        if name in paired or not (LEFT in name or RIGHT in name) or not body.is_complete(name):
            continue
        side = _on_its_side_mm(body, name)
        if side is not None and side < -_MARGIN_MM:
            yield _wrong_side(body, name)


def orientation(body: Body) -> Iterator[Finding]:
    """Yields ORIENTATION where the body is upside down, or front and back are swapped.

    Structures that the field of view cuts are left out, since their centres are moved.
    """
    upside_down = _share_upside_down(body)
    if upside_down is not None and upside_down > _MOST:
        yield _wrong_way("upside_down", upside_down)
    reversed_share = _share_back_to_front(body)
    if reversed_share is not None and reversed_share > _MOST:
        yield _wrong_way("back_to_front", reversed_share)


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
                sentence=Message(
                    "finding.ABSENT", structure=StructureName(name), levels=_between(known.levels)
                ),
                structure=name,
            )


def _to_the_left(body: Body, name: str, other: str) -> float:
    """Returns how far one structure lies to the left of another, in mm."""
    return float(body.centre(name)[0] - body.centre(other)[0])


def _on_its_side_mm(body: Body, name: str) -> float | None:
    """Returns the distance of a structure from the spine in mm; negative on the wrong side."""
    known, centre = anatomy(name), body.centre(name)
    spine = body.spine_at(float(centre[2]))
    if known is None or known.left_mm is None or spine is None:
        return None
    if abs(known.left_mm) < _ASIDE_MM:
        return None
    offset = float(centre[0]) - spine[0]
    return offset if known.left_mm > 0 else -offset


def _wrong_side(body: Body, name: str) -> Finding:
    beyond_mm = -(_on_its_side_mm(body, name) or 0.0)
    return Finding(
        code="SIDE",
        severity=Severity.REVIEW,
        sentence=Message(
            "finding.SIDE",
            structure=StructureName(name),
            beyond_mm=float(beyond_mm),
            limit=_MARGIN_MM,
        ),
        structure=name,
        value=round(beyond_mm, 1),
        limit=_MARGIN_MM,
        unit="mm",
    )


def _wrong_way(fault: str, share: float) -> Finding:
    return Finding(
        code="ORIENTATION",
        severity=Severity.REJECT,
        sentence=Message(f"finding.ORIENTATION.{fault}", percent=100 * share, limit=100 * _MOST),
        value=round(share, 2),
        limit=_MOST,
        unit="1",
    )


def _share_upside_down(body: Body) -> float | None:
    """Returns the share of pairs of structures in reverse order; None for too few pairs."""
    places = [(_level(body, name), float(body.centre(name)[2])) for name in body.names]
    known = [(level, z) for level, z in places if level is not None]
    apart = [
        (z - other_z) * (level - other_level) > 0
        for (level, z), (other_level, other_z) in combinations(known, 2)
        if abs(level - other_level) > _APART_LEVELS
    ]
    return sum(apart) / len(apart) if len(apart) >= _MINIMUM_JUDGED else None


def _level(body: Body, name: str) -> float | None:
    known = anatomy(name)
    if known is None or known.levels is None or not body.is_complete(name):
        return None
    return known.levels.middle


def _share_back_to_front(body: Body) -> float | None:
    """Returns the share of structures on the wrong side, front or back; None for too few."""
    judged = [
        _is_behind(body, name) is not (known.back_mm > 0)
        for name in body.names
        if (known := anatomy(name)) is not None and _is_telling(known)
        if known.back_mm is not None
        and not body.is_cut_at_a_side(name)
        and body.spine_at(float(body.centre(name)[2]))
    ]
    return sum(judged) / len(judged) if len(judged) >= _MINIMUM_JUDGED else None


def _is_telling(known: Anatomy) -> bool:
    return known.back_mm is not None and not _IN_FRONT_MM < known.back_mm < _BEHIND_MM


def _is_behind(body: Body, name: str) -> bool:
    centre = body.centre(name)
    spine = body.spine_at(float(centre[2]))
    return spine is not None and bool(centre[1] > spine[1])


def _off_level(name: str, usual: Range, at: float, excess: float) -> Finding:
    is_impossible = excess > _IMPOSSIBLE_LEVELS
    return Finding(
        code="LEVEL",
        severity=Severity.REJECT if is_impossible else Severity.REVIEW,
        sentence=Message(
            "finding.LEVEL",
            structure=StructureName(name),
            level=level_name(at),
            excess=float(excess),
            levels=_between(usual),
        ),
        structure=name,
        value=round(excess, 1),
        limit=_IMPOSSIBLE_LEVELS if is_impossible else _UNUSUAL_LEVELS,
        unit="{vertebrae}",
    )


def _between(levels: Range) -> str:
    high, low = level_name(levels.low), level_name(levels.high)
    return high if high == low else Message("word.to", first=high, last=low)


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

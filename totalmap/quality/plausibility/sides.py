"""Left and right, above and below, front and back: can be judged however little is in view."""

from collections.abc import Iterator
from itertools import combinations

from totalmap.display_names import in_sentence, pair_in_sentence
from totalmap.finding import Finding, Severity
from totalmap.quality.plausibility.anatomy import LEFT, RIGHT, Anatomy, anatomy
from totalmap.quality.plausibility.body import Body

# Closer to the middle than this, either side is possible: a spine may be bent.
_MARGIN_MM = 10.0
# What has a second piece of this share of it is crumbs.
_CRUMBS = 0.1
# Organs without a name for their side tell it where they usually lie this far from the middle.
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
# So many must lie on the wrong side, and more than on the right one: one alone may be disease.
_SITUS_MINIMUM = 2

# What is so much further from the head must lie lower.
_APART_LEVELS = 3.0
_IN_FRONT_MM, _BEHIND_MM = -40.0, 30.0
_MINIMUM_JUDGED = 3
_MOST = 0.7


def mirrored(body: Body) -> Iterator[Finding]:
    """Yields MIRRORED where the left one of a pair lies to the right of the right one.

    Crumbs at the edge of the field of view lie anywhere: pairs in pieces are to be reviewed, unless
    most pairs are swapped.
    """
    swapped = [pair for pair in body.pairs if _to_the_left(body, *pair) < -_MARGIN_MM]
    if not swapped:
        return
    sure = [pair for pair in swapped if all(body.second_share(one) < _CRUMBS for one in pair)]
    most = 2 * len(swapped) > len(body.pairs)
    names = [pair_in_sentence(left) for left, _ in swapped]
    some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    yield Finding(
        code="MIRRORED",
        severity=Severity.REJECT if sure or most else Severity.REVIEW,
        sentence=f"Left and right are swapped in {len(swapped)} of {len(body.pairs)} pairs of "
        f"structures: {some}.",
        structure=swapped[0][0] if len(swapped) == 1 else None,
        value=float(len(swapped)),
        limit=0.0,
        unit="{pairs}",
    )


def situs(body: Body) -> Iterator[Finding]:
    """Yields SITUS where most unpaired organs lie on the wrong side, and SIDE where a few do."""
    sides = {name: _on_its_side_mm(body, name) for name in _SITUS_ORGANS if name in body}
    wrong = [name for name, side in sides.items() if side is not None and side < -_MARGIN_MM]
    right = [name for name, side in sides.items() if side is not None and side > _MARGIN_MM]
    if len(wrong) >= _SITUS_MINIMUM and len(wrong) > len(right):
        yield Finding(
            code="SITUS",
            severity=Severity.REJECT,
            sentence="Organs lie on the wrong side of the body: "
            f"{', '.join(map(in_sentence, wrong))}. "
            "The images may be mirrored, or this is a situs inversus.",
            value=float(len(wrong)),
            limit=float(_SITUS_MINIMUM - 1),
            unit="{organs}",
        )
        return
    yield from (_wrong_side(body, name) for name in wrong if body.is_complete(name))


def wrong_side(body: Body) -> Iterator[Finding]:
    """Yields SIDE for a whole structure of one side that lies on the other, without its partner."""
    paired = {name for pair in body.pairs for name in pair}
    for name in body.names:
        if name in paired or not (LEFT in name or RIGHT in name) or not body.is_complete(name):
            continue
        side = _on_its_side_mm(body, name)
        if side is not None and side < -_MARGIN_MM:
            yield _wrong_side(body, name)


def orientation(body: Body) -> Iterator[Finding]:
    """Yields ORIENTATION where the body stands on its head, or front and back are swapped.

    Structures whose centres are moved by the edge of the field of view say nothing.
    """
    upside_down = _share_upside_down(body)
    if upside_down is not None and upside_down > _MOST:
        yield _wrong_way("The structures lie upside down", upside_down)
    reversed_share = _share_back_to_front(body)
    if reversed_share is not None and reversed_share > _MOST:
        yield _wrong_way("Front and back are swapped", reversed_share)


def _to_the_left(body: Body, name: str, other: str) -> float:
    """Returns how far one structure lies to the left of another, in mm."""
    return float(body.centre(name)[0] - body.centre(other)[0])


def _on_its_side_mm(body: Body, name: str) -> float | None:
    """Returns how far a structure lies on its own side of the spine; negative: on the other."""
    known, centre = anatomy(name), body.centre(name)
    spine = body.spine_at(float(centre[2]))
    if known is None or known.left_mm is None or spine is None:
        return None
    if abs(known.left_mm) < _ASIDE_MM:
        return None
    offset = float(centre[0]) - spine[0]
    return offset if known.left_mm > 0 else -offset


def _wrong_side(body: Body, name: str) -> Finding:
    side = _on_its_side_mm(body, name)
    return Finding(
        code="SIDE",
        severity=Severity.REVIEW,
        sentence=f"The {in_sentence(name)} lies on the other side of the spine.",
        structure=name,
        value=None if side is None else round(-side, 1),
        limit=_MARGIN_MM,
        unit="mm",
    )


def _wrong_way(what: str, share: float) -> Finding:
    return Finding(
        code="ORIENTATION",
        severity=Severity.REJECT,
        sentence=f"{what} ({share:.0%} of what can be compared).",
        value=round(share, 2),
        limit=_MOST,
        unit="1",
    )


def _share_upside_down(body: Body) -> float | None:
    """Returns in how many pairs of structures the one that belongs lower lies higher."""
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
    """Returns how many structures lie behind the spine that belong in front of it, or reverse."""
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

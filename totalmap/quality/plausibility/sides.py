"""Rules about left and right, above and below, front and back; they apply to any field of view."""

from collections.abc import Iterator
from itertools import combinations

from totalmap.display_names import in_sentence, pair_in_sentence
from totalmap.finding import Finding, Severity
from totalmap.quality.plausibility.anatomy import LEFT, RIGHT, Anatomy, anatomy
from totalmap.quality.plausibility.body import Body

# Closer to the middle, a structure may lie on either side, since a spine may be bent.
_MARGIN_MM = 10.0
# A structure whose second largest piece has this share of it consists of crumbs.
_CRUMBS = 0.1
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
# One organ on the wrong side may be a disease. From two on, and if they are more than the organs on
# the right side, the image is mirrored or the situs inverted.
_SITUS_MINIMUM = 2

# Structures whose levels differ by more must lie in this order.
_APART_LEVELS = 3.0
_IN_FRONT_MM, _BEHIND_MM = -40.0, 30.0
_MINIMUM_JUDGED = 3
_MOST = 0.7


def mirrored(body: Body) -> Iterator[Finding]:
    """Yields MIRRORED where the left structure of a pair lies to the right of the right one.

    Crumbs at the edge of the field of view lie anywhere. Therefore pairs in pieces are only to be
    reviewed, unless most pairs are swapped.
    """
    swapped = [pair for pair in body.pairs if _to_the_left(body, *pair) < -_MARGIN_MM]
    if not swapped:
        return
    sure = [pair for pair in swapped if all(body.second_share(name) < _CRUMBS for name in pair)]
    most = 2 * len(swapped) > len(body.pairs)
    names = [pair_in_sentence(left) for left, _ in swapped]
    some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    yield Finding(
        code="MIRRORED",
        severity=Severity.REJECT if sure or most else Severity.REVIEW,
        sentence=f"Left and right are swapped in {len(swapped)} of {len(body.pairs)} pairs of "
        f"structures (expected 0): {some}.",
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
            sentence=f"{len(wrong)} organs lie on the wrong side of the body (expected at most "
            f"{_SITUS_MINIMUM - 1}): {', '.join(map(in_sentence, wrong))}. "
            "The images may be mirrored, or the patient has a situs inversus.",
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
        yield _wrong_way(
            "The body is upside down", "pairs of structures are in reverse order", upside_down
        )
    reversed_share = _share_back_to_front(body)
    if reversed_share is not None and reversed_share > _MOST:
        yield _wrong_way(
            "Front and back are swapped",
            "structures lie on the wrong side of the spine",
            reversed_share,
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
        sentence=f"The {in_sentence(name)} lies {beyond_mm:.0f} mm on the wrong side of the spine "
        f"(expected at most {_MARGIN_MM:.0f} mm).",
        structure=name,
        value=round(beyond_mm, 1),
        limit=_MARGIN_MM,
        unit="mm",
    )


def _wrong_way(fault: str, counted: str, share: float) -> Finding:
    return Finding(
        code="ORIENTATION",
        severity=Severity.REJECT,
        sentence=f"{fault}: {100 * share:.0f} % of the {counted} (expected at most "
        f"{100 * _MOST:.0f} %).",
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

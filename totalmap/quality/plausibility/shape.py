"""Structures one by one: cut, in pieces, hollow, too large or small, uneven, of another tissue."""

from collections.abc import Iterator

from totalmap.display_names import in_sentence, pair_in_sentence
from totalmap.finding import Finding, Severity
from totalmap.quality.plausibility.anatomy import Range, anatomy
from totalmap.quality.plausibility.body import Body

# A second piece is worth a look from here on: what networks leave over is smaller.
_FRAGMENT_ML, _FRAGMENT_SHARE = 2.0, 0.01
_HOLE_SHARE = 0.05
# Of two sides, the larger may be so many times as large.
_ASYMMETRY = 3.0
_SMALLEST_PAIR_ML = 10.0


def incomplete(body: Body) -> Iterator[Finding]:
    """Yields INCOMPLETE for structures that a side of the field of view cuts."""
    for name in body.names:
        faces = body.faces(name)
        if faces:
            yield Finding(
                code="INCOMPLETE",
                severity=Severity.INFORMATION,
                sentence=f"The {in_sentence(name)} is cut by the field of view: "
                f"{', '.join(faces)}.",
                structure=name,
            )


def fragment(body: Body) -> Iterator[Finding]:
    """Yields FRAGMENT for whole structures of one piece that are found in several."""
    for name in _whole(body):
        known = anatomy(name)
        if known is None or not known.is_one_piece:
            continue
        share = body.second_share(name)
        size_ml = share * body.volume_ml(name)
        if size_ml > _FRAGMENT_ML and share > _FRAGMENT_SHARE:
            yield Finding(
                code="FRAGMENT",
                severity=Severity.REVIEW,
                sentence=f"The {in_sentence(name)} is in pieces: the second largest has "
                f"{size_ml:.0f} mL.",
                structure=name,
                value=round(size_ml, 1),
                limit=_FRAGMENT_ML,
                unit="mL",
            )


def hole(body: Body) -> Iterator[Finding]:
    """Yields HOLE for structures of one piece that enclose a hollow space."""
    for name in body.names:
        known, label = anatomy(name), body.labels[name]
        if known is None or not known.is_one_piece:
            continue
        holes, voxels = int(body.table.holes[label]), int(body.table.counted[label])
        share = holes / max(holes + voxels, 1)
        if share > _HOLE_SHARE:
            yield Finding(
                code="HOLE",
                severity=Severity.REVIEW,
                sentence=f"The {in_sentence(name)} is hollow: {share:.0%} of it is not labelled.",
                structure=name,
                value=round(share, 3),
                limit=_HOLE_SHARE,
                unit="1",
            )


def volume(body: Body) -> Iterator[Finding]:
    """Yields VOLUME for whole structures that are unusually, or implausibly, large or small."""
    for name in _whole(body):
        known = anatomy(name)
        if known is None or known.volume_ml is None:
            continue
        volume_ml = body.volume_ml(name)
        usual, plausible = known.volume_ml, _widened(known.volume_ml)
        if not usual.excess(volume_ml):
            continue
        is_implausible = bool(plausible.excess(volume_ml))
        band = plausible if is_implausible else usual
        yield Finding(
            code="VOLUME",
            severity=Severity.REVIEW if is_implausible else Severity.INFORMATION,
            sentence=f"The volume of the {in_sentence(name)}, {volume_ml:.0f} mL, is "
            f"{'implausible' if is_implausible else 'unusual'}: outside {band.low:.0f} to "
            f"{band.high:.0f} mL.",
            structure=name,
            value=round(volume_ml, 1),
            limit=round(band.low if volume_ml < band.low else band.high, 1),
            unit="mL",
        )


def asymmetry(body: Body) -> Iterator[Finding]:
    """Yields ASYMMETRY for pairs, both whole, of very different size."""
    for left, right in body.pairs:
        if not (body.is_complete(left) and body.is_complete(right)):
            continue
        small, large = sorted((body.volume_ml(left), body.volume_ml(right)))
        if large < _SMALLEST_PAIR_ML or large <= _ASYMMETRY * small:
            continue
        yield Finding(
            code="ASYMMETRY",
            severity=Severity.REVIEW,
            sentence=f"The {pair_in_sentence(left)} of one side is {large / small:.1f} times as "
            "large as that of the other.",
            structure=left if body.volume_ml(left) == small else right,
            value=round(large / small, 1),
            limit=_ASYMMETRY,
            unit="1",
        )


def density(body: Body) -> Iterator[Finding]:
    """Yields HU for structures a quarter of which, or more, is no such tissue."""
    for name in body.names:
        known = anatomy(name)
        if known is None or known.hu is None:
            continue
        lower, _, upper = (float(one) for one in body.table.quartiles[body.labels[name]])
        is_too_thin = lower < known.hu.low
        if is_too_thin or upper > known.hu.high:
            value, limit = (lower, known.hu.low) if is_too_thin else (upper, known.hu.high)
            yield Finding(
                code="HU",
                severity=Severity.REVIEW,
                sentence=f"A quarter of the {in_sentence(name)} is "
                f"{'below' if is_too_thin else 'above'} {value:.0f} HU, which is no such tissue.",
                structure=name,
                value=value,
                limit=limit,
                unit="[hnsf'U]",
            )


def _whole(body: Body) -> Iterator[str]:
    return (name for name in body.names if body.is_complete(name))


def _widened(usual: Range) -> Range:
    """Returns a band three times as wide, in ratios: a kidney can't have less than no volume."""
    ratio = usual.high / usual.low
    return Range(low=usual.low / ratio, high=usual.high * ratio)

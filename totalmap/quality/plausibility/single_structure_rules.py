"""Assesses single structures: cut, in pieces, with holes, of unusual size or density."""

from collections.abc import Iterator

from totalmap.finding import Finding, Severity
from totalmap.limitation_words import incomplete_sentence, several_pieces_sentence
from totalmap.quality.plausibility.anatomy_table import Range, anatomy
from totalmap.quality.plausibility.structure_statistics_lookup import Body
from totalmap.texts.catalogue import Message, PairName, StructureName

# Networks often leave smaller second pieces.
_FRAGMENT_ML, _FRAGMENT_SHARE = 2.0, 0.01
_HOLE_SHARE = 0.05
# Largest usual ratio of the volumes of a pair.
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
                sentence=incomplete_sentence(name, faces),
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
                sentence=several_pieces_sentence(name, size_ml, _FRAGMENT_ML),
                structure=name,
                value=round(size_ml, 1),
                limit=_FRAGMENT_ML,
                unit="mL",
            )


def hole(body: Body) -> Iterator[Finding]:
    """Yields HOLE for structures of one piece that enclose voxels without a label."""
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
                sentence=Message(
                    "finding.HOLE",
                    structure=StructureName(name),
                    percent=100 * share,
                    limit=100 * _HOLE_SHARE,
                ),
                structure=name,
                value=round(share, 3),
                limit=_HOLE_SHARE,
                unit="1",
            )


def volume(body: Body) -> Iterator[Finding]:
    """Yields VOLUME for whole structures of unusual or implausible size."""
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
            sentence=Message(
                "finding.VOLUME",
                structure=StructureName(name),
                how=Message("word.implausible" if is_implausible else "word.unusual"),
                volume_ml=float(volume_ml),
                low=float(band.low),
                high=float(band.high),
            ),
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
            sentence=Message(
                "finding.ASYMMETRY",
                pair=PairName(left),
                times=float(large / small),
                limit=_ASYMMETRY,
            ),
            structure=left if body.volume_ml(left) == small else right,
            value=round(large / small, 1),
            limit=_ASYMMETRY,
            unit="1",
        )


def density(body: Body) -> Iterator[Finding]:
    """Yields HU where a quarter of a structure or more is outside its expected density."""
    for name in body.names:
        known = anatomy(name)
        if known is None or known.hu is None:
            continue
        lower, _, upper = map(float, body.table.quartiles[body.labels[name]])
        is_too_light = lower < known.hu.low
        if is_too_light or upper > known.hu.high:
            value, limit = (lower, known.hu.low) if is_too_light else (upper, known.hu.high)
            yield Finding(
                code="HU",
                severity=Severity.REVIEW,
                sentence=Message(
                    "finding.HU",
                    structure=StructureName(name),
                    side=Message("word.below" if is_too_light else "word.above"),
                    value=float(value),
                    low=float(known.hu.low),
                    high=float(known.hu.high),
                ),
                structure=name,
                value=value,
                limit=limit,
                unit="[hnsf'U]",
            )


def _whole(body: Body) -> Iterator[str]:
    return (name for name in body.names if body.is_complete(name))


def _widened(usual: Range) -> Range:
    """Returns a band that is three times as wide in ratios, since volumes are positive."""
    ratio = usual.high / usual.low
    return Range(low=usual.low / ratio, high=usual.high * ratio)

"""Applies all plausibility rules to labels."""

from collections.abc import Callable, Iterable, Iterator

from totalmap.finding import Finding, Severity
from totalmap.measure.label_statistics import LabelStatistics
from totalmap.quality.plausibility import position, single_structures, spine
from totalmap.quality.plausibility.body_statistics import Body, body_of
from totalmap.structures import Structure

Rule = Callable[[Body], Iterator[Finding]]

# With less of the body in view, cut structures can't be distinguished from wrong ones.
MINIMUM_LENGTH_MM = 100.0

SIDES_AND_ORDER: tuple[Rule, ...] = (
    position.mirrored,
    position.situs,
    position.wrong_side,
    position.orientation,
    spine.vertebra_order,
    spine.vertebra_missing,
)
NEED_LENGTH: tuple[Rule, ...] = (
    spine.vertebra_step,
    spine.rib_vertebra,
    spine.sacrum,
    position.level,
    position.absent,
    single_structures.fragment,
    single_structures.hole,
    single_structures.volume,
    single_structures.asymmetry,
)


def assess_plausibility(
    table: LabelStatistics, structures: Iterable[Structure], *, is_hu: bool
) -> tuple[Finding, ...]:
    """Returns the findings about labels, those with the highest severity first.

    Only structures of anatomy.csv are assessed.

    Args:
        table: Statistics of the labels.
        structures: All structures that were looked for, found or not.
        is_hu: Whether the values are HU; the values of MR are no measure of density.
    """
    body = body_of(table, structures)
    rules = SIDES_AND_ORDER
    if body.length_mm >= MINIMUM_LENGTH_MM:
        rules += (*NEED_LENGTH, single_structures.density) if is_hu else NEED_LENGTH
    findings = [
        finding for rule in (*rules, single_structures.incomplete) for finding in rule(body)
    ]
    return tuple(sorted(findings, key=_severity, reverse=True))


def _severity(finding: Finding) -> int:
    return tuple(Severity).index(finding.severity)

"""Applies all plausibility rules to labels."""

from collections.abc import Callable, Iterable, Iterator

from totalmap.finding import Finding, Severity
from totalmap.measure.label_statistics import LabelStatistics
from totalmap.quality.plausibility import position_rules, single_structure_rules, spine_rules
from totalmap.quality.plausibility.structure_statistics_lookup import Body, body_of
from totalmap.structures import Structure

Rule = Callable[[Body], Iterator[Finding]]

# With less of the body in view, cut structures can't be distinguished from wrong ones.
MINIMUM_LENGTH_MM = 100.0

SIDES_AND_ORDER: tuple[Rule, ...] = (
    position_rules.mirrored,
    position_rules.situs,
    position_rules.wrong_side,
    position_rules.orientation,
    spine_rules.vertebra_order,
    spine_rules.vertebra_missing,
)
NEED_LENGTH: tuple[Rule, ...] = (
    spine_rules.vertebra_step,
    spine_rules.rib_vertebra,
    spine_rules.sacrum,
    position_rules.level,
    position_rules.absent,
    single_structure_rules.fragment,
    single_structure_rules.hole,
    single_structure_rules.volume,
    single_structure_rules.asymmetry,
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
        rules += (*NEED_LENGTH, single_structure_rules.density) if is_hu else NEED_LENGTH
    findings = [
        finding for rule in (*rules, single_structure_rules.incomplete) for finding in rule(body)
    ]
    return tuple(sorted(findings, key=_severity, reverse=True))


def _severity(finding: Finding) -> int:
    return tuple(Severity).index(finding.severity)

"""Groups findings and warnings for a reader in a hurry: the gravest first, alike ones together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from totalmap.finding import Finding, Severity
from totalmap.segmentation import Segmentation
from totalmap.texts.catalogue import Texts

# Findings of one kind that are told one by one, and names in a list.
_TOLD = 2
_MOST_NAMES = 8
_INCOMPLETE = "INCOMPLETE"


class Weight(StrEnum):
    """How much a line matters; in descending order."""

    REJECT = "reject"
    REVIEW = "review"
    WARNING = "warning"
    INFORMATION = "information"


_OF_SEVERITY = {
    Severity.REJECT: Weight.REJECT,
    Severity.REVIEW: Weight.REVIEW,
    Severity.INFORMATION: Weight.INFORMATION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryLine:
    """A finding, a warning, or several findings of one kind.

    Attributes:
        weight: How much it matters.
        label: The weight in a word.
        text: The sentence.
        language: Its language, by its code in ISO 639-1.
    """

    weight: Weight
    label: str
    text: str
    language: str


def finding_summary(segmentation: Segmentation, texts: Texts) -> tuple[SummaryLine, ...]:
    """Returns the findings of quality control and the warnings, the gravest first."""
    notices = (model.notice for model in segmentation.models if model.notice)
    warnings = (*segmentation.volume.findings, *segmentation.findings, *notices)
    lines = [_warning(text, texts) for text in dict.fromkeys(warnings)]
    for group in _alike(segmentation.quality_findings):
        weight = _OF_SEVERITY[group[0].severity]
        lines += [_line(weight, text, texts) for text in _sentences(group, texts)]
    order = list(Weight)
    return tuple(sorted(lines, key=lambda line: order.index(line.weight)))


def _warning(sentence: str, texts: Texts) -> SummaryLine:
    line = _line(Weight.WARNING, texts.told(sentence), texts)
    return replace(line, language=texts.language_of(sentence))


def _line(weight: Weight, text: str, texts: Texts) -> SummaryLine:
    return SummaryLine(
        weight=weight,
        label=texts(f"summary.{weight}"),
        text=text[:1].upper() + text[1:],
        language=texts.language,
    )


def _alike(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Returns the findings by severity and code, in the order of the first of each kind."""
    groups: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    return list(groups.values())


def _sentences(group: Sequence[Finding], texts: Texts) -> list[str]:
    """Returns the sentences of findings of one kind; many are put into one sentence."""
    if len(group) <= _TOLD:
        return list(dict.fromkeys(texts.told(finding.sentence) for finding in group))
    if group[0].code == _INCOMPLETE:
        return [texts("summary.cut", count=len(group), names=_names(group, texts))]
    sentence, others = texts.told(group[0].sentence), group[1:]
    key = "like" if all(finding.structure for finding in others) else "like_unnamed"
    names = _names(others, texts)
    return [texts(f"summary.{key}", sentence=sentence, count=len(others), names=names)]


def _names(findings: Sequence[Finding], texts: Texts) -> str:
    """Returns the names of the structures in question, the first eight one by one."""
    names = [texts.within_sentence(finding.structure) for finding in findings if finding.structure]
    shown = ", ".join(names[:_MOST_NAMES])
    if len(names) <= _MOST_NAMES:
        return shown
    return texts("summary.more_names", names=shown, count=len(names) - _MOST_NAMES)

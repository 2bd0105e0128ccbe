"""Defines the findings of quality control about a study or its labels, and the verdict on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# The kind of the result that marks all others as rejected.
REJECTION_NOTE = "rejection"


class Severity(StrEnum):
    """The consequence of a finding; in ascending order."""

    INFORMATION = "information"
    REVIEW = "review"
    REJECT = "reject"


class Verdict(StrEnum):
    """The treatment of a result: deliver it, deliver it marked, or hold it back."""

    OK = "ok"
    REVIEW = "review"
    REJECT = "reject"


# The words for people, in every result and page.
VERDICT_WORDS: Mapping[Verdict, str] = {
    Verdict.OK: "no objection by quality control",
    Verdict.REVIEW: "needs review",
    Verdict.REJECT: "rejected by quality control",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason to doubt a result.

    Attributes:
        code: One of a fixed set of names, in capitals: LEVEL, ABSENT, CHILD. At most 16 characters,
            the limit of a Code Value (0008,0100).
        severity: The consequence.
        sentence: The text for a radiologist, without any patient attribute.
        structure: TotalSegmentator's name of the structure in question; None: the study.
        value: The measured value; None if there is no number.
        limit: The limit that the value is above or below; None if there is no limit.
        unit: Unit of value and limit in UCUM; empty if there is none.
    """

    code: str
    severity: Severity
    sentence: str
    structure: str | None = None
    value: float | None = None
    limit: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """All findings about a study and its labels, and the verdict."""

    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The treatment of the result."""
        return verdict(self.findings)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Returns the verdict of the most severe finding; OK without findings that need a review."""
    severities = {finding.severity for finding in findings}
    if Severity.REJECT in severities:
        return Verdict.REJECT
    return Verdict.REVIEW if Severity.REVIEW in severities else Verdict.OK

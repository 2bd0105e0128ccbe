"""What was found about a study or its labels, and the verdict that follows from all of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

# The kind of the result that says that all others are rejected.
REJECTION_NOTE = "rejection"


class Severity(StrEnum):
    """What a finding asks for; in ascending order."""

    INFORMATION = "information"
    REVIEW = "review"
    REJECT = "reject"


class Verdict(StrEnum):
    """What is to be done with a result: deliver it, deliver it marked, or keep it back."""

    OK = "ok"
    REVIEW = "review"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason to believe a result less.

    Attributes:
        code: One of a fixed set of names, in capitals: LEVEL, ABSENT, CHILD. At most 16 characters,
            as a Code Value (0008,0100) has.
        severity: What it asks for.
        sentence: What a radiologist reads; without any patient attribute.
        structure: TotalSegmentator's name of the structure that it is about; None: the study.
        value: What was measured; None where there is no number.
        limit: What it should not exceed, or fall below; None where there is none.
        unit: Of both, as UCUM writes it; empty: none.
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
    """All that was found about a study and its labels, and the verdict."""

    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What is to be done with the result."""
        return verdict(self.findings)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Returns the verdict: that of the gravest finding, and OK where none asks for more."""
    severities = {one.severity for one in findings}
    if Severity.REJECT in severities:
        return Verdict.REJECT
    return Verdict.REVIEW if Severity.REVIEW in severities else Verdict.OK

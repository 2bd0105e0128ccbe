"""What the checker says: where, which rule, what is wrong, and what to do."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A line of a file, counted from 1."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        rule: Short name of the rule, for people who search the documentation.
        problem: What is wrong, with the value.
        remedy: What to write instead.
    """

    place: Place
    rule: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: [{self.rule}] {self.problem}. Remedy: {self.remedy}."

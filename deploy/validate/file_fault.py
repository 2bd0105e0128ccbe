"""Defines a fault in a deployment file: its line, what is wrong, and what to write instead."""

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
class FileFault:
    """A fault in a deployment file.

    Attributes:
        place: The line of the fault.
        rule: The short name of the rule; docs/monai-deploy.md explains it.
        problem: What is wrong, with the value.
        remedy: What to write instead.
    """

    place: Place
    rule: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: [{self.rule}] {self.problem}. Remedy: {self.remedy}."

"""Findings as lines of text: how grave, what code, what it means."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from totalmap.finding import Severity


class Said(Protocol):
    """A finding, or what a status says of one."""

    @property
    def severity(self) -> Severity:
        """What it asks for."""

    @property
    def code(self) -> str:
        """Which it is."""

    @property
    def sentence(self) -> str:
        """What it means."""


def finding_lines(findings: Iterable[Said], *, everything: bool = False) -> Iterator[str]:
    """Yields a line for each; of what is for information only where everything is wanted."""
    for one in findings:
        if everything or one.severity is not Severity.INFORMATION:
            yield f"{one.severity:12}{one.code:17}{one.sentence}"

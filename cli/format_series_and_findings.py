"""Formats series and findings for a terminal."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from totalmap.finding import Severity

if TYPE_CHECKING:
    from rich.table import Table

    from totalmap.writers.series_status import SeriesStatus


class FindingText(Protocol):
    """The parts of a finding that a line shows."""

    @property
    def severity(self) -> Severity:
        """How serious the finding is."""

    @property
    def code(self) -> str:
        """The code of the finding, for example MIRRORED."""

    @property
    def sentence(self) -> str:
        """The finding as a sentence."""


def finding_lines(findings: Iterable[FindingText], *, everything: bool = False) -> Iterator[str]:
    """Yields a line for each finding; findings for information only with `everything`."""
    for finding in findings:
        if everything or finding.severity is not Severity.INFORMATION:
            yield f"{finding.severity:12}{finding.code:17}{finding.sentence}"


def series_table(series: "Iterable[SeriesStatus]") -> "Table":
    """Returns a table with a line for each series, or for each volume of a series."""
    from rich.table import Table

    table = Table("", "Series", "Modality", "Images", "Why", title="Series", title_justify="left")
    for entry in series:
        name = f"{entry.number if entry.number is not None else '-'} {entry.description}"
        mark = "*" if entry.chosen else ""
        images = str(entry.slices or entry.instances)
        table.add_row(mark, name, entry.modality, images, entry.reason)
    return table

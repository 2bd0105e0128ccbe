"""Lays out the PDF: page 1 for the reader, then the table by body system, then the origin."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from totalmap.finding import Verdict
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import FEW_VOXELS
from totalmap.texts.catalogue import Texts, texts_in
from totalmap.writers.pdf.page_drawing import (
    AMBER,
    BLACK,
    BROWN,
    GREY,
    HEIGHT,
    MARGIN,
    PALE,
    PURPLE,
    RED,
    WHITE,
    WIDTH,
    Sheets,
    fitting,
    width_of,
    wrapped,
)
from totalmap.writers.presentation.finding_summary import Weight, finding_summary
from totalmap.writers.presentation.fonts import drawable
from totalmap.writers.presentation.patient_identification import Fact, Identity, identity_of
from totalmap.writers.presentation.structure_tables import (
    Row,
    SystemTable,
    key_volumes,
    system_tables,
)
from totalmap.writers.presentation.title_and_notices import (
    ai_notice,
    demo_notice,
    found_words,
    origin_facts,
    quality_notice,
    source_facts,
    source_words,
    title_of,
    verdict_words,
)
from totalmap.writers.preview.views import scene_of, three_views_picture

_INNER = WIDTH - 2 * MARGIN
_BOTTOM = HEIGHT - 44.0  # above the foot
_VIEWS = (1150, 860)  # the largest size of the picture, in pixels
_EDGE = 12
_VIEWS_HEIGHT = 460.0
_BODY, _SMALL, _HEADING, _TITLE = 8.5, 7.0, 11.0, 14.0
_LEADING = 11.5
_LINE = 1.35  # height of a line of a paragraph, for a text size of 1
_ROW = 9.4
_COLUMN_GAP = 20.0
_COLUMNS = 2
_KEY_COLUMNS = 3
_MOST_FINDING_LINES = 22
_FACT_NAMES = 118.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfDocument:
    """A PDF, the words in it, and its number of pages."""

    content: bytes
    words: tuple[str, ...]
    pages: int


def pdf_document(
    segmentation: Segmentation, settings: Settings, texts: Texts | None = None
) -> PdfDocument:
    """Returns the report as PDF; the same result gives the same bytes.

    Args:
        segmentation: The result.
        settings: The settings with language and identity.
        texts: The texts; None: those of the language of the settings.

    Raises:
        OutputError: A structure has no name and colour.
    """
    told = texts or texts_in(settings.report.language)
    identity = _drawable(identity_of(segmentation, settings.report, told), told)
    layout = _Layout(segmentation, told, identity)
    layout.front()
    layout.tables(system_tables(segmentation, told))
    layout.origin(settings.fingerprint())
    sheets = layout.sheets
    return PdfDocument(content=sheets.content(), words=tuple(sheets.words), pages=sheets.pages)


def _drawable(identity: Identity, texts: Texts) -> Identity:
    """Returns an identity in which values with letters that the font lacks refer to the header."""
    facts = tuple(
        fact if drawable(fact.value) else Fact(name=fact.name, value=texts("identity.in_header"))
        for fact in identity.facts
    )
    parts = (
        part if drawable(part) else texts("identity.in_header")
        for part in identity.line.split(" · ")
    )
    return Identity(facts=facts, line=" · ".join(parts))


_Column = Sequence[str | Row]


class _Layout:
    """Draws the document from top to bottom, and begins another sheet where one is full."""

    def __init__(self, segmentation: Segmentation, texts: Texts, identity: Identity) -> None:
        self._segmentation = segmentation
        self._texts = texts
        self._identity = identity
        self.sheets = Sheets(texts("report.page_title"), texts.language)
        self._top = 0.0
        self._frame()

    def front(self) -> None:
        """Draws page 1: identity, verdict, what matters, views, key volumes."""
        segmentation, texts, sheets = self._segmentation, self._texts, self.sheets
        self._notices()
        title = title_of(segmentation, texts)
        self._top += _TITLE + 4
        size = fitting(title, _TITLE, _INNER, bold=True)
        sheets.text(MARGIN, self._top, title, size, bold=True)
        self._top += 4
        self._identity_lines()
        words = " · ".join(
            (
                verdict_words(segmentation, texts),
                found_words(segmentation, texts),
                source_words(segmentation, texts),
            )
        )
        self._paragraph(words, _BODY, GREY)
        self._heading(texts("summary.title"))
        self._findings()
        self._views()
        self._key_volumes()

    def tables(self, tables: Sequence[SystemTable]) -> None:
        """Draws the table of each body system in two columns."""
        texts = self._texts
        self._next_sheet()
        self._heading(texts("report.structures"))
        is_ct = self._segmentation.volume.modality == "CT"
        explained = (
            texts("report.caption"),
            f"{texts('legend.incomplete')}.",
            texts("report.values", unit=texts("report.hu" if is_ct else "report.scanner_units")),
            texts("report.remarks_explained", voxels=FEW_VOXELS),
        )
        self._paragraph(" ".join(explained), _SMALL, GREY)
        if not tables:
            self._paragraph(texts("found.none"), _BODY, BLACK)
        self._top += 4
        for columns in _in_columns(tables, int((_BOTTOM - self._top) / _ROW), texts):
            if self._top > _BOTTOM - _ROW:
                self._next_sheet()
            top = self._top
            width = (_INNER - _COLUMN_GAP) / _COLUMNS
            for number, column in enumerate(columns):
                self._column(MARGIN + number * (width + _COLUMN_GAP), top, width, column)
            self._top = _BOTTOM

    def origin(self, settings_sha256: str) -> None:
        """Draws what was not found, the source, and how the result was made."""
        segmentation, texts, sheets = self._segmentation, self._texts, self.sheets
        self._next_sheet()
        labels = {one.structure.label for one in segmentation.found()}
        missing = [one.name for one in segmentation.structures if one.label not in labels]
        if missing:
            names = ", ".join(map(texts.structure, missing))
            words = texts("report.not_found", count=len(missing), names=names)
            self._paragraph(words, _SMALL, GREY)
        self._heading(texts("report.source"))
        self._facts(source_facts(segmentation, texts))
        self._heading(texts("report.origin"))
        self._facts(origin_facts(segmentation, settings_sha256, texts))
        self._heading(texts("report.networks"))
        for network in segmentation.models:
            self._top += _LEADING
            name = f"{network.dataset}, {network.licence}, {network.source}"
            sheets.text(MARGIN, self._top, name, fitting(name, _SMALL, _INNER))
            self._top += _LEADING - 2
            sheets.text(MARGIN, self._top, network.sha256, _SMALL, GREY, code=True)

    def _notices(self) -> None:
        """Draws the verdict, with its reason if there is room, and the notice of a demo model.

        The reason is on page 1 only, and the rest on every page, since one may be printed alone.
        """
        segmentation, texts = self._segmentation, self._texts
        rejected = segmentation.verdict is Verdict.REJECT
        quality = quality_notice(segmentation, texts)
        is_long = fitting(quality, _BODY, _INNER - _EDGE, bold=True) < _SMALL
        if quality and (is_long or self.sheets.pages > 1):
            quality = verdict_words(segmentation, texts).upper()
        colours = (RED, WHITE) if rejected else (PALE, BLACK)
        for words, colour, ink in (
            (quality, *colours),
            (demo_notice(segmentation, texts), PURPLE, WHITE),
        ):
            if words:
                self.sheets.band(self._top, 20, words, colour, ink)
                self._top += 23

    def _identity_lines(self) -> None:
        """Draws the facts of the identity one after the other, with their values in bold."""
        left, sheets = MARGIN, self.sheets
        self._top += _LEADING + 2
        for fact in self._identity.facts:
            name, value = f"{fact.name} ", f"{fact.value}"
            width = _width(name) + _width(value, bold=True)
            if left > MARGIN and left + width > WIDTH - MARGIN:
                left = MARGIN
                self._top += _LEADING + 1
            size = fitting(value, _BODY, WIDTH - MARGIN - left - _width(name), bold=True)
            sheets.text(left, self._top, name, _BODY, GREY)
            sheets.text(left + _width(name), self._top, value, size, bold=True)
            left += width + 16
        self._top += 2

    def _findings(self) -> None:
        findings, texts = finding_summary(self._segmentation, self._texts), self._texts
        if not findings:
            self._paragraph(texts("summary.nothing"), _BODY, BLACK)
        room = _MOST_FINDING_LINES
        for number, finding in enumerate(findings):
            label = f"{finding.label}:"
            indent = _width(f"{label} ", bold=True)
            lines = wrapped(finding.text, _BODY, _INNER, indent)
            if len(lines) > room:
                more = texts("summary.more", count=len(findings) - number)
                self._paragraph(more, _BODY, GREY)
                return
            room -= len(lines)
            colour = GREY if finding.weight is Weight.INFORMATION else BLACK
            baseline = self._top + _BODY * _LINE
            self.sheets.text(MARGIN, baseline, label, _BODY, colour, bold=True)
            self._lines(lines, _BODY, colour, indent)

    def _views(self) -> None:
        scene = scene_of(self._segmentation, self._texts)
        pixels = three_views_picture(scene, *_VIEWS).cropped(_EDGE)
        rows = -(-len(key_volumes(self._segmentation, self._texts)) // _KEY_COLUMNS)
        left = _BOTTOM - self._top - (rows + 3) * _LEADING - 20
        self._top = self.sheets.picture(
            self._top + 8, pixels, _INNER, max(min(left, _VIEWS_HEIGHT), 80)
        )
        if scene.shows_lungs:
            self._paragraph(self._texts("view.lung_window"), _SMALL, GREY)

    def _key_volumes(self) -> None:
        rows, texts = key_volumes(self._segmentation, self._texts), self._texts
        if not rows:
            return
        self._heading(f"{texts('summary.volumes')} ({texts('report.volume')})")
        of_column = -(-len(rows) // _KEY_COLUMNS)
        width = (_INNER - (_KEY_COLUMNS - 1) * _COLUMN_GAP) / _KEY_COLUMNS
        for number, row in enumerate(rows):
            column, line = divmod(number, of_column)
            left = MARGIN + column * (width + _COLUMN_GAP)
            baseline = self._top + (line + 1) * _LEADING
            self._name(left, baseline, row, width - 52, _BODY)
            self._volume(left + width, baseline, row, _BODY)
        self._top += (of_column + 1) * _LEADING

    def _column(self, left: float, top: float, width: float, lines: _Column) -> None:
        sheets, texts = self.sheets, self._texts
        sd = left + width - 40
        mean, volume = sd - 26, sd - 54
        for number, line in enumerate(lines):
            baseline = top + (number + 1) * _ROW - 2.4
            if isinstance(line, Row):
                self._name(left, baseline, line, volume - 32 - left)
                self._volume(volume, baseline, line, _SMALL)
                sheets.text_to(mean, baseline, line.mean, _SMALL)
                sheets.text_to(sd, baseline, line.sd, _SMALL)
                size = fitting(line.note, _SMALL - 1, 36)
                sheets.text(sd + 4, baseline, line.note, size, GREY)
            elif line:
                sheets.text(left, baseline, line, _SMALL + 0.5, bold=True)
                for right, key in ((volume, "volume"), (mean, "mean"), (sd, "sd")):
                    sheets.text_to(right, baseline, texts(f"report.{key}"), _SMALL - 1, GREY)
                sheets.line(left, left + width, baseline + 2.2)

    def _name(
        self, left: float, baseline: float, row: Row, width: float, size: float = _SMALL
    ) -> None:
        if row.colour:
            self.sheets.patch(left, baseline - 5.5, 6, row.colour)
        size = fitting(row.name, size, width - 10, bold=row.is_total)
        self.sheets.text(left + 10, baseline, row.name, size, bold=row.is_total)

    def _volume(self, right: float, baseline: float, row: Row, size: float) -> None:
        colour = BROWN if row.is_incomplete else BLACK
        self.sheets.text_to(right, baseline, row.volume, size, colour, bold=row.is_total)

    def _facts(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            self._top += _LEADING
            self.sheets.text(MARGIN, self._top, fact.name, _SMALL, GREY)
            left = MARGIN + _FACT_NAMES
            size = fitting(fact.value, _SMALL, WIDTH - MARGIN - left)
            self.sheets.text(left, self._top, fact.value, size, code=fact.is_code)

    def _heading(self, words: str) -> None:
        self._top += _HEADING + 6
        self.sheets.text(MARGIN, self._top, words, _HEADING, bold=True)
        self._top += 3

    def _paragraph(self, words: str, size: float, colour: tuple[int, int, int]) -> None:
        self._lines(wrapped(words, size, _INNER), size, colour)

    def _lines(
        self, lines: Iterable[str], size: float, colour: tuple[int, int, int], indent: float = 0.0
    ) -> None:
        for line in lines:
            self._top += size * _LINE
            self.sheets.text(MARGIN + indent, self._top, line, size, colour)
            indent = 0.0

    def _next_sheet(self) -> None:
        self.sheets.next_sheet()
        self._frame()
        self._notices()

    def _frame(self) -> None:
        """Draws the notice at the head of a sheet, and whose result it is at its foot."""
        sheets, texts = self.sheets, self._texts
        sheets.band(20, 20, ai_notice(self._segmentation, texts), AMBER, BLACK)
        baseline = HEIGHT - 24
        foot = self._identity.line
        sheets.text(MARGIN, baseline, foot, fitting(foot, _SMALL, _INNER - 60), GREY)
        sheets.text_to(WIDTH - MARGIN, baseline, str(sheets.pages), _SMALL, GREY)
        self._top = 46.0


def _in_columns(
    tables: Sequence[SystemTable], longest: int, texts: Texts
) -> Iterable[Sequence[_Column]]:
    """Yields the columns of each sheet, of nearly the same length on as few sheets as possible."""
    columns = _columns(tables, longest, texts)
    most = -(-len(columns) // _COLUMNS) * _COLUMNS
    for rows in range(sum(map(len, columns)) // most, longest):
        shorter = _columns(tables, rows, texts)
        if len(shorter) <= most:
            columns = shorter
            break
    for first in range(0, len(columns), _COLUMNS):
        yield columns[first : first + _COLUMNS]


def _columns(tables: Sequence[SystemTable], longest: int, texts: Texts) -> list[_Column]:
    """Returns columns: names of systems, rows, and "" for space between systems.

    A system that goes on in the next column has its name there, too.
    """
    columns: list[list[str | Row]] = [[]]
    for table in tables:
        lines: list[str | Row] = [table.name, *table.rows]
        if columns[-1]:
            lines.insert(0, "")
        for number, line in enumerate(lines):
            # A name of a system needs two rows below it.
            needed = 3 if line == table.name and number < len(lines) - 1 else 1
            if len(columns[-1]) + needed > longest:
                columns.append([])
                if isinstance(line, Row):
                    columns[-1].append(texts("legend.continued", system=table.name))
            if columns[-1] or line:
                columns[-1].append(line)
    return list(columns)


def _width(words: str, *, bold: bool = False) -> float:
    return width_of(words, _BODY, bold=bold)

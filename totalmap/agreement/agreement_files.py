"""Writes the agreement of two segmentations as JSON and CSV."""

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from io import StringIO

from totalmap.agreement.compare_masks import Agreement, StructureAgreement
from totalmap.display_names import display_name
from totalmap.spreadsheet_text import as_text

_NUMBERS = tuple(field.name for field in fields(StructureAgreement) if field.name != "name")
COLUMNS = ("structure", "display_name", "compared", *_NUMBERS)


def to_json(agreement: Agreement) -> str:
    """Returns the agreement with the names of its attributes; `null` where there is no value."""
    return json.dumps(asdict(agreement), indent=2) + "\n"


def to_csv(agreement: Agreement) -> str:
    """Returns a table with a row for each structure; a cell without a value is empty.

    `compared` is `both`, or `only A` or `only B` for a structure that one side names.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(agreement))
    return text.getvalue()


def _rows(agreement: Agreement) -> Iterable[list[object]]:
    for row in agreement.structures:
        numbers = [getattr(row, name) for name in _NUMBERS]
        yield [as_text(row.name), as_text(display_name(row.name)), "both", *numbers]
    for side, unpaired in (("A", agreement.only_in_a), ("B", agreement.only_in_b)):
        volume = f"volume_{side.lower()}_ml"
        for structure in unpaired:
            cells = [structure.volume_ml if name == volume else None for name in _NUMBERS]
            shown = as_text(structure.name), as_text(display_name(structure.name))
            yield [*shown, f"only {side}", *cells]

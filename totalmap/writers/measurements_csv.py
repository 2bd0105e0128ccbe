"""Writes measurements.csv (RFC 4180): one line for each structure, for spreadsheets."""

import csv
import io
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import BinaryIO

from pydicom.sr.coding import Code

from totalmap.errors import OutputError
from totalmap.limitation_words import remarks
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind
from totalmap.structures import MeasuredStructure
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom.codes import intensity_of, structure_code
from totalmap.writers.dicom.identifiers import result_name

FILE_NAME = "measurements.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table; docs/results.md explains each column."""

    label: int
    name: str
    display_name: str
    volume_ml: float
    voxels: int
    mean: float
    sd: float
    unit: str
    components: int
    largest_share: float
    flags: str
    remarks: str
    code: str
    code_meaning: str
    side: str
    region_code: str
    region_meaning: str
    task: str
    variant: str
    series_instance_uid: str


COLUMNS = tuple(field.name for field in fields(Row))


def write_measurements_csv(segmentation: Segmentation, release: Release) -> Result:
    """Writes the table and compares the file with the measurements.

    If nothing was found, the table has only its header.

    Raises:
        OutputError: A structure has no code, or the file that was written differs.
    """
    rows = [_row(segmentation, found) for found in segmentation.found()]
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    content = text.getvalue().encode("utf-8")
    name = result_name(segmentation, FILE_NAME)
    staged = release.write(name, partial(_write, content))
    with staged.open(encoding="utf-8", newline="") as file:
        compare_measurements_csv(file.read(), rows)
    return Result(kind=ResultKind.CSV, path=f"{RESULTS_NAME}/{name}")


def _write(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def compare_measurements_csv(written: str, rows: list[Row]) -> None:
    """Compares a table with its rows.

    Raises:
        OutputError: They differ.
    """
    expected = [[str(value) for value in asdict(row).values()] for row in rows]
    if list(csv.reader(written.splitlines())) != [list(COLUMNS), *expected]:
        raise OutputError(f"{FILE_NAME} differs from the measurements")


def _row(segmentation: Segmentation, found: MeasuredStructure) -> Row:
    code = structure_code(found.structure.name)
    side = code.modifier or code.region_modifier
    intensity = intensity_of(segmentation.volume)
    return Row(
        label=found.structure.label,
        name=found.structure.name,
        display_name=code.display_name,
        volume_ml=found.volume_ml,
        voxels=found.voxels,
        mean=found.mean,
        sd=found.sd,
        unit=intensity.symbol if intensity else "",
        components=found.components,
        largest_share=found.largest_share,
        flags=" ".join(found.limitations),
        remarks=remarks(found),
        code=_text(code.type),
        code_meaning=code.type.meaning,
        side=side.meaning.lower() if side else "",
        region_code=_text(code.region) if code.region else "",
        region_meaning=code.region.meaning if code.region else "",
        task=segmentation.task,
        variant=segmentation.variant,
        series_instance_uid=segmentation.volume.series_instance_uid,
    )


def _text(code: Code) -> str:
    """Returns scheme and value in a form that no spreadsheet mistakes for a number."""
    return f"{code.scheme_designator}:{code.value}"

"""`totalmap compare`: shows how well two segmentations of the same images agree."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import errors_to_exit_status
from totalmap.agreement import DEFAULT_TOLERANCE_MM

if TYPE_CHECKING:
    from totalmap.agreement.structure_masks import StructureMasks
    from totalmap.dicom.study import Study

_SIDE = "a SEG, RTSTRUCT or NIfTI file, or a folder of them."


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help=f"One result: {_SIDE}")],
    b: Annotated[Path, typer.Argument(metavar="B", help=f"The other result: {_SIDE}")],
    source: Annotated[
        Path | None,
        typer.Option(help="The study that was segmented; an RTSTRUCT needs it."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Tolerance of NSD in mm, as TotalSegmentator's paper.")
    ] = DEFAULT_TOLERANCE_MM,
    overlap_only: Annotated[
        bool, typer.Option("--overlap-only", help="Only Dice and volumes, without NSD and HD95.")
    ] = False,
    resample: Annotated[
        bool, typer.Option("--resample", help="Resample B onto another grid of A.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write JSON to this file.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write CSV to this file.")
    ] = None,
) -> None:
    """Shows how well two results agree, structure by structure (docs/compare.md).

    The exit status is 0 however well they agree, and 65 if they can't be compared.
    """
    import logging

    from cli.agreement_table import print_agreement
    from cli.console_without_markup import plain_console
    from totalmap import log
    from totalmap.agreement.agreement_files import to_csv, to_json
    from totalmap.agreement.compare_masks import compare_masks
    from totalmap.writers.atomic_file import write_text_atomically

    log.configure(level=logging.CRITICAL)
    with errors_to_exit_status():
        with _study(source) as study:
            masks = _read("A", a, study), _read("B", b, study)
        agreement = compare_masks(
            *masks, tolerance_mm=None if overlap_only else tolerance, resample=resample
        )
        for file, text in ((json_file, to_json), (csv_file, to_csv)):
            if file is not None:
                write_text_atomically(file, text(agreement))
        print_agreement(agreement, plain_console())


def _read(side: str, result: Path, study: "Study | None") -> "StructureMasks":
    """Returns the masks of a side; errors tell which side it is."""
    from totalmap.agreement.read_masks import read_masks
    from totalmap.errors import TotalMapError

    try:
        return read_masks(result, study)
    except TotalMapError as error:
        raise type(error)(f"{side}: {error}") from error


@contextmanager
def _study(source: Path | None) -> Iterator["Study | None"]:
    from totalmap.open_input import open_input

    if source is None:
        yield None
        return
    with open_input(source) as opened:
        yield opened.studies(repair_missing_uids=True)

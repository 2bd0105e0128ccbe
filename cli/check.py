"""`totalmap check`: assesses whether the labels of an existing result are plausible."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import errors_to_exit_status
from totalmap.errors import ExitStatus
from totalmap.finding import Verdict

EXIT_STATUS = {
    Verdict.OK: ExitStatus.SUCCEEDED,
    Verdict.REVIEW: ExitStatus.REVIEW,
    Verdict.REJECT: ExitStatus.REJECTED,
}


def check(
    result: Annotated[Path, typer.Argument(help="A SEG file, or a folder with SEG files.")],
    source: Annotated[
        Path, typer.Option(help="The source study of the SEG: a folder or a ZIP archive.")
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Also show findings for information.")
    ] = False,
) -> None:
    """Assesses whether the labels of a SEG are plausible (docs/quality.md).

    The exit status is 0 for ok, 1 for review, 3 for reject, and 65 if the SEG or its source can't
    be read.
    """
    import logging

    from cli.console_without_markup import plain_console
    from cli.format_series_and_findings import finding_lines
    from totalmap import log
    from totalmap.existing_seg import seg_objects
    from totalmap.open_input import open_input
    from totalmap.quality.assess_existing_seg import assess_existing_result, read_existing_result

    log.configure(level=logging.CRITICAL)
    console = plain_console()
    with errors_to_exit_status():
        segs = seg_objects(result)
        with open_input(source) as opened:
            study = opened.studies(repair_missing_uids=True)
            assessment = assess_existing_result(read_existing_result(segs, study))
        for line in finding_lines(assessment.findings, everything=everything):
            console.print(line, soft_wrap=True)
        console.print(f"Verdict: {assessment.verdict}")
    sys.exit(EXIT_STATUS[assessment.verdict])

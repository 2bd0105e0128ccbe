"""`totalmap check`: whether an existing result, ours or another tool's, is to be believed."""

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
    source: Annotated[Path, typer.Option(help="Folder with the study it was made from.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Show what is only for information, too.")
    ] = False,
) -> None:
    """Says whether the labels of a SEG can be those of a body (docs/quality.md).

    The exit status is 0 for ok, 1 for review, 3 for reject, and 65 where the SEG or its source
    can't be read.
    """
    import logging

    from cli.console import plain_console
    from cli.finding_lines import finding_lines
    from totalmap import log
    from totalmap.dicom.study import read_study
    from totalmap.finding import verdict
    from totalmap.quality.existing_result import findings_of, read_existing, seg_objects

    log.configure(level=logging.CRITICAL)
    console = plain_console()
    with errors_to_exit_status():
        findings = findings_of(read_existing(seg_objects(result), read_study(source)))
        for line in finding_lines(findings, everything=everything):
            console.print(line, soft_wrap=True)
        told = verdict(findings)
        console.print(f"Verdict: {told}")
    sys.exit(EXIT_STATUS[told])

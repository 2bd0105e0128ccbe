"""`totalmap serve`: the gateway on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from cli.errors import errors_to_exit_status
from gateway.config import load_gateway_settings
from gateway.process import stop_signals
from gateway.serve import roles, serve
from totalmap import log


def run_gateway(
    config: Annotated[
        Path | None, typer.Argument(help="gateway.yaml; without it, safe defaults.")
    ] = None,
    only_work: Annotated[
        bool, typer.Option(help="Segment only, for a gateway whose Postgres and folder are shared.")
    ] = False,
) -> None:
    """Receives studies by DICOM, segments them and sends the results on, until it is stopped."""
    log.configure()
    with errors_to_exit_status(), stop_signals() as stop:
        settings = load_gateway_settings(config)
        serve(settings, config, roles(settings, only_work=only_work), stop)

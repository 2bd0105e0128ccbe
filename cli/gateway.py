"""`totalmap serve`, `totalmap status`, `totalmap gateway ...`: the box beside the PACS."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from cli.console import plain_console
from cli.errors import errors_to_exit_status
from gateway.config import GatewaySettings, load_gateway_settings
from gateway.process import stop_signals
from totalmap import log
from totalmap.errors import ConfigError

app = typer.Typer(help="Looks after the gateway that `totalmap serve` runs.", no_args_is_help=True)
console = plain_console()

Config = Annotated[
    Path | None, typer.Argument(help="gateway.yaml; without it, safe defaults on this machine.")
]


def serve(
    config: Config = None,
    only_work: Annotated[
        bool, typer.Option(help="Segment only, for a gateway whose Postgres and folder are shared.")
    ] = False,
) -> None:
    """Receives studies by DICOM, segments them and sends the results on, until it is stopped."""
    from gateway.serve import roles, serve

    log.configure()
    with errors_to_exit_status(), stop_signals() as stop:
        settings = load_gateway_settings(config)
        if not only_work:
            _show_first_password(settings)
        serve(settings, config, roles(settings, only_work=only_work), stop)


def _show_first_password(settings: GatewaySettings) -> None:
    """Says once, at the first start, with which password the page is seen."""
    from gateway.web.password import ensure_password

    web = settings.web
    if web.user_header is not None:
        return
    password = ensure_password(settings.storage_folder)
    scheme = "https" if web.certificate_file else "http"
    console.print(f"The page: {scheme}://{web.address}:{web.port}", soft_wrap=True)
    if password is not None:
        console.print(
            f"Its password, shown this once: {password} (another one: `totalmap gateway password`)",
            soft_wrap=True,
        )


@app.command("check")
def check_command(config: Config = None) -> None:
    """Says whether the gateway could work like this, and tries each destination."""
    from gateway.check import check

    log.configure(level=logging.CRITICAL)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    with errors_to_exit_status():
        faults = 0
        for point in check(load_gateway_settings(config)):
            faults += point.fault is not None
            said = f"good:  {point.good}" if point.fault is None else f"FAULT: {point.fault}"
            console.print(f"{point.name}: {said}", soft_wrap=True)
        if faults:
            console.print(f"faults: {faults}")
            raise typer.Exit(ConfigError.exit_status)

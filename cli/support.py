"""`totalmap support`: writes an archive for a bug report, without patient data."""

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import errors_to_exit_status
from cli.gateway import Config, File, given_file, print_line
from totalmap.errors import ConfigError


def support(
    file: File = None,
    config: Config = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The ZIP file to write; without it, one named by now."),
    ] = None,
    log_file: Annotated[
        Path | None,
        typer.Option("--log", help="The gateway's log; without it, the journal of systemd."),
    ] = None,
    keep_nodes: Annotated[
        bool,
        typer.Option("--keep-nodes", help="Keep AE titles, hosts and addresses."),
    ] = False,
) -> None:
    """Writes a ZIP file for a bug report: versions, settings, log and states, without patients."""
    with errors_to_exit_status():
        path = given_file(file, config)
        try:
            from gateway.support.collect_support_zip import SupportRequest, write_support_zip
        except ModuleNotFoundError as error:
            raise ConfigError(
                "there is no gateway here: the image of the application comes without it"
            ) from error
        target = output or Path(time.strftime("totalmap-support-%Y%m%d-%H%M%S.zip"))
        request = SupportRequest(settings_file=path, log_file=log_file, keeps_nodes=keep_nodes)
        for name, reason in write_support_zip(request, target).items():
            print_line(f"{name} is missing: {reason}")
        print_line(f"{target} is written. Look at every file in it before you send it.")

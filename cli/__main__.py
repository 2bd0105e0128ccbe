"""Defines the command `totalmap` and its subcommands.

The modules of the subcommands import what a subcommand needs when it runs: a help text never waits
for it.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli import (
    check,
    compare,
    deploy,
    gateway,
    gateway_backup_and_migration,
    gateway_reload,
    gateway_send_test_alarm,
    gateway_user,
    inspect,
    models,
    run,
    support,
    trace,
    verify,
)
from totalmap import __version__
from totalmap.errors import ExitStatus, without_credentials


class CommandGroup(TyperGroup):
    """The subcommands of `totalmap`; wrong arguments end with one line and ExitStatus.USAGE."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the subcommand that the arguments name, and ends the process with its status."""
        try:
            status = super().main(
                args, prog_name, complete_var, False, windows_expand_args, **extra
            )
        except typer.TyperException as error:
            sys.stderr.write(_error_line(error))
            sys.exit(ExitStatus.USAGE)
        except typer.Abort:
            sys.stderr.write("Error: stopped\n")
            sys.exit(ExitStatus.TRY_AGAIN)
        if not standalone_mode:
            return status
        sys.exit(status if isinstance(status, int) else ExitStatus.SUCCEEDED)


def _error_line(error: typer.TyperException) -> str:
    message = " ".join(without_credentials(error.format_message()).split()).rstrip(".")
    message = message.replace("Value error, ", "") or "a command is missing"
    context = getattr(error, "ctx", None)
    help_hint = f" (see {context.command_path} --help)" if context else ""
    return f"Error: {message}{help_hint}\n"


app = typer.Typer(
    cls=CommandGroup,
    help="TotalSegmentator for hospitals: CT study in, DICOM results out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("inspect")(inspect.inspect)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("serve")(gateway.serve)
app.command("status")(gateway.status)
app.command("support")(support.support)
app.command("trace")(trace.print_trace)
app.command("verify")(verify.print_verification)
app.add_typer(models.app, name="models")
app.add_typer(deploy.app, name="deploy")
app.add_typer(gateway.app, name="gateway")
for commands in (gateway_send_test_alarm.app, gateway_reload.app, gateway_backup_and_migration.app):
    gateway.app.add_typer(commands)  # without a name: they belong to the group itself
gateway.app.add_typer(gateway_user.app, name="user")


def print_version(is_wanted: bool) -> None:
    """Prints the versions of TotalMAP and TotalSegmentator and ends the command, if wanted."""
    if not is_wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        networks = f"TotalSegmentator {version('TotalSegmentator')}"
    except PackageNotFoundError:
        networks = "TotalSegmentator is not installed"
    typer.echo(f"TotalMAP {__version__}, {networks}")
    raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=print_version,
            is_eager=True,
            help="Show the versions of TotalMAP and TotalSegmentator.",
        ),
    ] = False,
) -> None:
    pass


if __name__ == "__main__":
    from cli.entry import main

    main()

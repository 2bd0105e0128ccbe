"""How wrong arguments end: one line, and the exit status that README documents for them."""

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from totalmap.errors import ExitStatus, without_credentials


class CommandGroup(TyperGroup):
    """The commands of `totalmap`; wrong arguments end with ExitStatus.USAGE."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command that the arguments name, and ends the process with its status."""
        try:
            status = super().main(
                args, prog_name, complete_var, False, windows_expand_args, **extra
            )
        except typer.TyperException as error:
            sys.stderr.write(_line(error))
            sys.exit(ExitStatus.USAGE)
        except typer.Abort:
            sys.stderr.write("Error: stopped\n")
            sys.exit(ExitStatus.TRY_AGAIN)
        if not standalone_mode:
            return status
        sys.exit(status if isinstance(status, int) else ExitStatus.SUCCEEDED)


def _line(error: typer.TyperException) -> str:
    message = " ".join(without_credentials(error.format_message()).split()).rstrip(".")
    message = message.replace("Value error, ", "") or "a command is missing"
    context = getattr(error, "ctx", None)
    see = f" (see {context.command_path} --help)" if context else ""
    return f"Error: {message}{see}\n"

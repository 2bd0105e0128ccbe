"""Ends a command after an error with one line and the exit status of the error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from totalmap.errors import TotalMapError


@contextmanager
def errors_to_exit_status() -> Iterator[None]:
    """Prints a TotalMapError on standard error and ends the process with its status."""
    try:
        yield
    except TotalMapError as error:
        from cli.console_without_markup import plain_console

        plain_console(stderr=True).print(f"Error: {error}", soft_wrap=True)
        sys.exit(error.exit_status)

"""Prints plain text: a path or a description may hold brackets, which rich takes for markup."""

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def plain_console(
    *, stderr: bool = False, file: IO[str] | None = None, width: int | None = None
) -> "Console":
    """Returns a console that prints text as it is, without markup."""
    from rich.console import Console

    return Console(markup=False, highlight=False, stderr=stderr, file=file, width=width)

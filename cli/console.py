"""How the command prints: plain text, since a path or a description may hold brackets."""

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def plain_console(
    *, stderr: bool = False, file: IO[str] | None = None, width: int | None = None
) -> "Console":
    """Returns a console that prints what it gets and reads no markup in it."""
    from rich.console import Console

    return Console(markup=False, highlight=False, stderr=stderr, file=file, width=width)

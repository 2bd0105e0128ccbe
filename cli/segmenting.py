"""Prepares the process for a command that segments, before it starts any thread."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.stack_size import restart_with_larger_stack
from app.stop_signals import hold_stop_signals

if TYPE_CHECKING:
    from rich.console import Console

    from cli.progress import ProgressDisplay


@contextmanager
def segmenting() -> Iterator[tuple["Console", "ProgressDisplay"]]:
    """Yields the console and the display of a run.

    A stop signal is held back until the run can answer it: it then writes its status and ends
    the process. What libraries print is kept from the terminal.
    """
    hold_stop_signals()
    restart_with_larger_stack()
    from cli.console import plain_console
    from cli.progress import ProgressDisplay
    from totalmap import log

    log.configure(level=logging.CRITICAL)
    console = plain_console()
    with ProgressDisplay(console) as display:
        yield console, display

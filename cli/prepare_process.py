"""Prepares the process of a command that segments, before it starts any thread."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.stack_size import restart_with_larger_stack
from app.stop_signals import hold_stop_signals
from totalmap.environment_variables import prepare_threads

if TYPE_CHECKING:
    from rich.console import Console

    from cli.progress import ProgressDisplay


@contextmanager
def segmentation_process() -> Iterator[tuple["Console", "ProgressDisplay"]]:
    """Yields the console and the progress display of a run.

    A stop signal waits until the run can handle it: the run then writes its status and ends the
    process. Libraries print nothing on the terminal.
    """
    hold_stop_signals()
    prepare_threads()
    restart_with_larger_stack()
    from cli.console_without_markup import plain_console
    from cli.progress import ProgressDisplay
    from totalmap import log

    log.configure(level=logging.CRITICAL)
    console = plain_console()
    with ProgressDisplay(console) as display:
        yield console, display

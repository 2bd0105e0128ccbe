"""Starts the command `totalmap`, and ends it with one line and a status when it is stopped.

This module imports nothing slow, because a signal may come at any moment.
"""

import signal
import sys
from types import FrameType

from totalmap.import_without_garbage_collection import no_collection_during_imports

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedBySignal(BaseException):
    """A stop signal came; only the end of the process may catch this."""


def main() -> None:
    """Runs the command and ends the process.

    `run` and `verify` hold the signals back and handle them themselves (app/stop_signals.py).
    """
    # Until there is something to clean up: an interrupted import shows no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with no_collection_during_imports():
        from cli.__main__ import app
        from totalmap.errors import ExitStatus

    for number in STOP_SIGNALS:
        signal.signal(number, _raise)
    try:
        app(prog_name="totalmap")
    except StoppedBySignal as stop:
        sys.stderr.write(f"Error: stopped by {stop}\n")
        sys.exit(ExitStatus.TRY_AGAIN)


def _raise(number: int, _frame: FrameType | None) -> None:
    raise StoppedBySignal(signal.Signals(number).name)

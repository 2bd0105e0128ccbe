"""The command `totalmap` as a process: it ends with one line and a status when it is stopped.

Imports nothing slow: a signal may come at any moment from here on.
"""

import signal
import sys
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedBySignal(BaseException):
    """A stop signal came; nothing may catch this but the end of the process."""


def main() -> None:
    """Runs the command and ends the process.

    `run` and `verify` hold the signals and answer them themselves (app/stop_signals.py).
    """
    # Until there is something to clean up: no traceback of an import that was broken off.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
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

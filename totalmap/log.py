"""Writes log events to standard error, one line each, as text or JSON, without patient data."""

import logging
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TextIO

import structlog

from totalmap.errors import without_credentials

LogFormat = Literal["text", "json"]
Receiver = Callable[[Mapping[str, Any]], None]

# The same report of a library is logged again after this time.
_REPEAT_SECONDS = 60.0
# Functions that also get every event.
_RECEIVERS: list[Receiver] = []


def configure(log_format: LogFormat = "text", level: int = logging.INFO) -> None:
    """Sends our events to standard error and sets the root logger to WARNING.

    At INFO, the SDK writes attribute values of the study to the root logger.
    """
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    if not any(isinstance(handler, _LibraryHandler) for handler in root.handlers):
        root.addHandler(_LibraryHandler(logging.WARNING))
    logging.raiseExceptions = False  # such a report quotes the values of the message
    # Warnings of these packages quote the invalid value, which may be a patient's.
    for package in ("pydicom", "highdicom", "pylibjpeg", "openjpeg"):
        logging.getLogger(package).setLevel(logging.CRITICAL)
    warnings.showwarning = _show_warning
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_credentials,
            _send_to_receivers,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_current_standard_error,
        cache_logger_on_first_use=False,
    )


class _LibraryHandler(logging.Handler):
    """Logs the name and place of a library's report, without its text, which may quote a value.

    The same report is logged once a minute: without free file descriptors, asyncio reports a
    thousand times a second.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._reported_at: dict[tuple[str, str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Logs a record without its message."""
        error = record.exc_info[1] if record.exc_info else None
        place = f"{record.filename}:{record.lineno}"
        if error is not None and error.__traceback__ is not None:
            raised = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(raised.filename).name}:{raised.lineno}"
        is_error = record.levelno >= logging.ERROR
        report = get_logger().error if is_error else get_logger().warning
        kind = record.levelname if error is None else type(error).__name__
        now, last = time.monotonic(), self._reported_at.get((record.name, kind, place))
        if last is None or now - last >= _REPEAT_SECONDS:
            self._reported_at[record.name, kind, place] = now
            report("library_reported", library=record.name, kind=kind, place=place)


def _show_warning(
    message: Warning | str,  # noqa: ARG001
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Logs the kind and place of a library's warning, without its text, which may quote a value."""
    place = f"{Path(filename).name}:{lineno}"
    get_logger().debug("library_warned", kind=category.__name__, place=place)


def _without_credentials(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Removes passwords from URLs in the values of an event."""
    return {
        key: without_credentials(value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def also_send_to(receiver: Receiver) -> Callable[[], None]:
    """Has a function also get every event from now on, with its level and time.

    It must not log, nor raise an exception. The function that is returned ends this.
    """
    _RECEIVERS.append(receiver)
    return lambda: _RECEIVERS.remove(receiver)


def _send_to_receivers(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for receiver in _RECEIVERS:
        receiver(event)
    return event


def _current_standard_error(*_: object) -> structlog.PrintLogger:
    """Returns a logger to sys.stderr, which a test or a display may have replaced."""
    return structlog.PrintLogger(sys.stderr)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """Returns the logger; events are snake_case verbs, values are keyword arguments."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger

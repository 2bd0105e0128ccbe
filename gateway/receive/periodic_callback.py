"""Runs a callback periodically, and logs failures when they change."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from totalmap.errors import TotalMapError
from totalmap.log import get_logger

log = get_logger()


@contextmanager
def polling(source: str, poll: Callable[[Event], None], seconds: float) -> Iterator[None]:
    """Calls a function periodically while the block runs, in a thread of its own.

    Args:
        source: The name of what is polled, for the log.
        poll: The function; it gets an event that is set when it has to end soon.
        seconds: The time between two calls.
    """
    stop = Event()
    thread = Thread(target=_poll_until, args=(stop, source, poll, seconds), name=source)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _poll_until(stop: Event, source: str, poll: Callable[[Event], None], seconds: float) -> None:
    said: str | None = None
    while not stop.is_set():
        failure = _failure(poll, stop)
        if failure != said:
            if failure is None:
                log.info("poll_works_again", source=source)
            else:
                log.warning("poll_failed", source=source, reason=failure)
            said = failure
        stop.wait(seconds)


def _failure(poll: Callable[[Event], None], stop: Event) -> str | None:
    try:
        poll(stop)
    except TotalMapError as error:
        return str(error)
    except Exception as error:  # a defect must not end the polling
        return f"a defect: {type(error).__name__}"
    return None

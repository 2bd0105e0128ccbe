"""Tests whether a destination answers: by C-ECHO, or by a search or its capabilities over HTTP."""

from gateway.config import DestinationSection
from gateway.deliver.send_dicom import echo
from gateway.deliver.send_stow import reach


def probe(destination: DestinationSection, longest_seconds: float | None = None) -> str:
    """Returns what a destination answers, in words.

    Args:
        destination: The destination.
        longest_seconds: The longest time to wait for a connection, and for each response; None:
            the `connect_seconds` of the destination.

    Raises:
        ResourceError: It does not answer as it should; with the reason.
    """
    if destination.dicom is not None:
        seconds = _least(destination.dicom.connect_seconds, longest_seconds)
        echo(destination.dicom.model_copy(update={"connect_seconds": seconds}))
        return "answers C-ECHO"
    assert destination.stow is not None  # noqa: S101  one of both is there, says its section
    seconds = _least(destination.stow.connect_seconds, longest_seconds)
    return reach(destination.stow.model_copy(update={"connect_seconds": seconds}))


def _least(seconds: float, longest_seconds: float | None) -> float:
    return seconds if longest_seconds is None else min(seconds, longest_seconds)

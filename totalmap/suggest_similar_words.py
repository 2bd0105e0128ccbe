"""Suggests known words in messages about unknown ones.

A message quotes an unknown word only if it is close to a known one, since it is a misspelling then.
Any other word may be a password in the wrong place.
"""

from collections.abc import Collection
from difflib import get_close_matches

_AT_MOST = 3
_CLOSE = 0.6


def nearest(word: object, known: Collection[str], close: float = _CLOSE) -> tuple[str, ...]:
    """Returns the known words that are closest to a word, ignoring case; the closest one first.

    Args:
        word: The unknown word; values that are no text have no close words.
        known: Equally close words are returned in this order.
        close: Smallest similarity, 0..1.
    """
    if not isinstance(word, str):
        return ()
    spelt = {name.lower(): name for name in known}
    return tuple(spelt[name] for name in get_close_matches(word.lower(), spelt, _AT_MOST, close))


def did_you_mean(word: object, known: Collection[str]) -> str:
    """Returns ", did you mean ...?" with the closest known words; empty if none is close."""
    close = nearest(word, known)
    return f", did you mean {' or '.join(close)}?" if close else ""


def quoted_if_close(word: object, known: Collection[str]) -> str:
    """Returns the word in quotes, after a space; empty if it is not close to a known word."""
    return f" {word!r}" if nearest(word, known) else ""

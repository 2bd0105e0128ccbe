"""Names what somebody probably meant, in messages about a word that is not known.

A word is repeated in a message only where it is close to a known one: then it is a misspelling.
Anything else may be a password that was put in the wrong place.
"""

from collections.abc import Collection
from difflib import get_close_matches

_AT_MOST = 3
_CLOSE = 0.6


def nearest(word: object, known: Collection[str], close: float = _CLOSE) -> tuple[str, ...]:
    """Returns the known words that are closest to a word, capitals or not; the best one first.

    Args:
        word: Nothing is close to what is not text.
        known: In the order in which equally close ones are returned.
        close: How similar they have to be, 0..1.
    """
    if not isinstance(word, str):
        return ()
    spelt = {name.lower(): name for name in known}
    return tuple(spelt[name] for name in get_close_matches(word.lower(), spelt, _AT_MOST, close))


def did_you_mean(word: object, known: Collection[str]) -> str:
    """Returns ", did you mean ...?" with the closest known words; empty where none is close."""
    close = nearest(word, known)
    return f", did you mean {' or '.join(close)}?" if close else ""


def quoted_if_close(word: object, known: Collection[str]) -> str:
    """Returns a word in quotes, with a space before it; empty where it is close to none."""
    return f" {word!r}" if nearest(word, known) else ""

"""Goes through many things a few at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

# Things that are looked at in one sweep, so that nothing else waits for long.
AT_ONCE = 25


class Batches:
    """Goes through things again and again, a portion at a time, so that none waits for ever."""

    def __init__(self, everything: Callable[[], Iterable[str]]) -> None:
        self._everything = everything
        self._left: Iterator[str] = iter(())

    def next_batch(self) -> Sequence[str]:
        """Returns the next things; after the last of them, the first again."""
        found = list(islice(self._left, AT_ONCE))
        if not found:
            self._left = iter(self._everything())
            found = list(islice(self._left, AT_ONCE))
        return found

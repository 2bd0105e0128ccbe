"""Goes through many items in batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

# The number of items in one batch, so that nothing else waits for long.
AT_ONCE = 25


class Batches:
    """Goes through items again and again, a batch at a time."""

    def __init__(self, everything: Callable[[], Iterable[str]]) -> None:
        self._everything = everything
        self._left: Iterator[str] = iter(())

    def next_batch(self) -> Sequence[str]:
        """Returns the next items; after the last ones, the first again."""
        found = list(islice(self._left, AT_ONCE))
        if not found:
            self._left = iter(self._everything())
            found = list(islice(self._left, AT_ONCE))
        return found

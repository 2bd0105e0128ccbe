"""Counts the tiles of a run, and the seconds that they take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from totalmap.engine.segment import Progress


class TileCounter:
    """Tells an observer about every tile.

    Attributes:
        total: How many tiles there will be.
        seconds: How long all tiles so far have taken.
    """

    def __init__(self, total: int, progress: Progress) -> None:
        self.total = total
        self.seconds = 0.0
        self._done = 0
        self._progress = progress

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Takes back the tiles that were done within, if these fail."""
        done = self._done
        try:
            yield
        except BaseException:
            self._done = done
            raise

    @contextmanager
    def tile(self) -> Iterator[None]:
        """Counts a tile when its work is done."""
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start
        self._done += 1
        self._progress(self._done, self.total)

import pytest

from totalmap.engine.tile_counter import TileCounter


def test_tiles_of_an_attempt_that_failed_are_taken_back() -> None:
    told: list[tuple[int, int]] = []
    counter = TileCounter(3, lambda done, total: told.append((done, total)))
    with counter.tile():
        pass
    with pytest.raises(MemoryError):
        _do_one_tile_and_fail(counter)
    with counter.attempt(), counter.tile():
        pass
    assert told == [(1, 3), (2, 3), (2, 3)]


def _do_one_tile_and_fail(counter: TileCounter) -> None:
    with counter.attempt():
        with counter.tile():
            pass
        raise MemoryError


def test_a_tile_that_failed_is_not_done() -> None:
    told: list[tuple[int, int]] = []
    counter = TileCounter(1, lambda done, total: told.append((done, total)))
    with pytest.raises(ValueError, match="no"), counter.tile():
        raise ValueError("no")
    assert told == []

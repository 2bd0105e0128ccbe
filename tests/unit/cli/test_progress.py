import io

import pytest
from rich.console import Console

from cli.console_without_markup import plain_console
from cli.progress import ProgressDisplay, TimeLeft
from totalmap.errors import Stopped


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def time_left(left: TimeLeft, clock: Clock, seconds: float, done: int, total: int) -> str:
    clock.now += seconds
    left.tiles(done, total)
    return left.text


def test_progress_prints_a_line_for_each_stage_without_a_terminal() -> None:
    file = io.StringIO()
    with ProgressDisplay(plain_console(file=file)) as display:
        display.stage_started("segment")
        display.progress(1, 4)
    assert file.getvalue() == "Segmenting ...\n"


def test_a_stopped_run_prints_one_line_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ProgressDisplay(plain_console(file=io.StringIO())) as display:
        display.stopped(Stopped("stopped by SIGINT"))
    assert capsys.readouterr().err == "Error: stopped by SIGINT\n"


def test_the_time_left_of_a_run_is_estimated_from_finished_tiles(clock: Clock) -> None:
    left = TimeLeft(clock)
    assert time_left(left, clock, 0, 1, 10) == ""  # the duration of the first tile is not known
    assert time_left(left, clock, 4, 3, 10) == "about 14 s left"
    assert time_left(left, clock, 36, 4, 10) == "about 1 min 20 s left"
    assert time_left(left, clock, 1, 10, 10) == ""


def test_the_shown_time_left_of_a_run_changes_at_most_once_a_second(clock: Clock) -> None:
    left = TimeLeft(clock)
    time_left(left, clock, 0, 1, 100)
    before = time_left(left, clock, 0.5, 2, 100)
    assert time_left(left, clock, 0.3, 10, 100) == before
    assert time_left(left, clock, 0.8, 11, 100) != before


def test_the_time_left_of_a_run_starts_again_with_another_network(clock: Clock) -> None:
    left = TimeLeft(clock)
    time_left(left, clock, 0, 1, 10)
    assert time_left(left, clock, 1, 2, 10)
    assert time_left(left, clock, 1, 30, 60) == ""
    assert time_left(left, clock, 2, 31, 60) == "about 58 s left"


def test_the_time_left_of_a_run_starts_again_with_another_volume(clock: Clock) -> None:
    left = TimeLeft(clock)
    time_left(left, clock, 0, 1, 10)
    time_left(left, clock, 1, 10, 10)
    assert time_left(left, clock, 1, 1, 10) == ""


def test_progress_shows_a_percentage_on_a_terminal() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100)
    with ProgressDisplay(console) as display:
        display.stage_started("segment")
        display.progress(3, 12)
    assert "Segmenting" in file.getvalue()
    assert "25%" in file.getvalue()

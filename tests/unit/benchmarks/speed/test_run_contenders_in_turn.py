from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed.contenders import Contender, Run, RunFailed
from benchmarks.speed.label_agreement import Labels
from benchmarks.speed.parse_network_seconds import NetworkTime
from benchmarks.speed.run_contenders_in_turn import Race

RUN = Run(
    seconds=2.0,
    network=NetworkTime(tiles=3, seconds=1.0),
    is_network_known=True,
    peak_bytes=10**9,
)


def runner(name: str, rounds: int, calls: list[str], segment: Callable[[], Labels]) -> Contender:
    def run(folder: Path) -> tuple[Run, Labels]:
        assert folder.is_dir()
        assert not any(folder.iterdir())
        calls.append(name)
        return RUN, segment()

    return Contender(name=name, rounds=rounds, precision="fp32", segment=run)


def labels(value: int) -> Labels:
    return np.full((2, 2, 2), value, dtype=np.uint8)


def fail(*, refused: bool) -> Labels:
    raise RunFailed("no", "the last lines", refused=refused)


def test_contenders_of_the_speed_benchmark_run_in_turn_and_are_compared_with_the_first(
    tmp_path: Path,
) -> None:
    calls: list[str] = []
    race = Race(
        [
            runner("peer", 1, calls, lambda: labels(1)),
            runner("same", 2, calls, lambda: labels(1)),
            runner("other", 2, calls, lambda: labels(2)),
        ],
        tmp_path,
    )
    race.run()
    assert calls == ["peer", "same", "other", "same", "other"]
    differing = [[one.differing for one in entry.agreements] for entry in race.entries()]
    assert differing == [[], [0, 0], [8, 8]]
    assert not race.failed
    assert race.tiles == 3


@pytest.mark.parametrize("refused", [True, False])
def test_a_failed_contender_of_the_speed_benchmark_does_not_run_again_or_stop_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, refused: bool
) -> None:
    calls: list[str] = []
    race = Race(
        [
            runner("peer", 2, calls, lambda: labels(1)),
            runner("broken", 2, calls, lambda: fail(refused=refused)),
            runner("same", 2, calls, lambda: labels(1)),
        ],
        tmp_path,
    )
    race.run()
    assert calls == ["peer", "broken", "same", "peer", "same"]
    assert race.failed is not refused
    assert ("the last lines" in capsys.readouterr().out) is not refused


def test_a_contender_of_the_speed_benchmark_with_labels_on_another_grid_fails(
    tmp_path: Path,
) -> None:
    other = np.zeros((3, 2, 2), dtype=np.uint8)
    race = Race(
        [runner("peer", 1, [], lambda: labels(1)), runner("ours", 1, [], lambda: other)], tmp_path
    )
    race.run()
    assert race.failed
    assert race.entries()[1].failure is not None

import io

import pytest
from tqdm import tqdm  # type: ignore[import-untyped]

from benchmarks.speed.parse_network_seconds import NetworkTime, from_log, from_progress_bars

# What TotalSegmentator 2.18 wrote: the last state is drawn twice, then with the mean rate.
STDERR = (
    "\r  0%|          | 0/32 [00:00<?, ?it/s]"
    "\r 97%|█████████▋| 31/32 [00:09<00:00,  2.14it/s]"
    "\r100%|██████████| 32/32 [00:10<00:00,  1.64it/s]"
    "\r100%|██████████| 32/32 [00:10<00:00,  3.20it/s]\n"
    "UserWarning: something else\n"
    "\r100%|██████████| 1/1 [00:07<00:00,  7.10s/it]"
    "\r100%|██████████| 1/1 [00:07<00:00,  7.10s/it]\n"
)


def test_the_speed_benchmark_adds_the_times_of_all_progress_bars() -> None:
    found = from_progress_bars(STDERR)
    assert found is not None
    assert found.tiles == 33
    assert found.seconds == pytest.approx(32 / 3.2 + 7.1)


@pytest.mark.parametrize("stderr", ["", "\r 50%|█████     | 1/2 [00:01<00:01,  1.00s/it]\n"])
def test_an_unfinished_progress_bar_gives_the_speed_benchmark_no_time(stderr: str) -> None:
    assert from_progress_bars(stderr) is None


def test_the_speed_benchmark_reads_a_progress_bar_of_the_installed_tqdm() -> None:
    stderr = io.StringIO()
    with tqdm(total=4, file=stderr) as bar:
        bar.start_t -= 26.16
        bar.update(4)
    found = from_progress_bars(stderr.getvalue())
    assert found is not None
    assert found.tiles == 4
    assert found.seconds == pytest.approx(26.16, rel=0.005)


def test_the_speed_benchmark_finds_log_events_between_other_lines() -> None:
    log = (
        "WARNING a line of text\n"
        '{"event": "model_verified", "dataset": "Dataset297"}\n'
        '{"tiles": 3, "seconds": 1.5, "event": "networks_ran"}\n'
        "[1, 2]\n"
        '{"tiles": 2, "seconds": 1.0, "event": "networks_ran"}\n'
    )
    assert from_log(log) == NetworkTime(tiles=5, seconds=2.5)
    assert from_log("no event\n") is None

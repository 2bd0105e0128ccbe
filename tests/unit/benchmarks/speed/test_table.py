from dataclasses import replace

from benchmarks.speed.contenders import Run, RunFailed
from benchmarks.speed.label_agreement import Agreement
from benchmarks.speed.parse_network_seconds import NetworkTime
from benchmarks.speed.table import UNKNOWN, Entry, Limit, table

LIMIT = Limit(tiles=4, flop_per_tile=1e12, flop_per_second={"fp32": 4e11, "bf16": 2e12})


def run(seconds: float, network_seconds: float, *, is_known: bool = True) -> Run:
    return Run(
        seconds=seconds,
        network=NetworkTime(tiles=4, seconds=network_seconds),
        is_network_known=is_known,
        peak_bytes=3_000_000_000,
    )


def entry(
    name: str, *runs: Run, differing: int | None = None, failure: RunFailed | None = None
) -> Entry:
    agreement = Agreement(voxels=1000, differing=differing or 0, min_dice=0.9, structures=5)
    return Entry(
        name=name,
        precision="fp32",
        runs=runs,
        agreements=() if differing is None else (agreement,),
        failure=failure,
    )


def cells(report: str) -> dict[str, list[str]]:
    rows = [line.strip("| ").split("|") for line in report.splitlines() if line.startswith("|")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


PEER = entry("TotalSegmentator", run(48, 28), run(52, 32))


def test_the_speed_table_shows_medians_ranges_and_ratios() -> None:
    rows = cells(table("fast", [PEER, entry("exact", run(25, 20), differing=0)], LIMIT))
    peer = ["50.0", "48.0-52.0", "4", "30.0", "33%", "20.0", "67%", "3.0", UNKNOWN]
    assert rows["TotalSegmentator"] == peer
    ours = ["25.0 (2.0x)", UNKNOWN, "4", "20.0 (1.5x)", "50%", "5.0 (4.0x)", "25%", "3.0", "0"]
    assert rows["exact"] == ours
    assert rows["limit, fp32"][3] == "10.0 (3.0x)"
    assert rows["limit, bf16"][3] == "2.0 (15.0x)"


def test_the_speed_table_compares_a_run_of_fewer_tiles_with_the_limit_of_its_own_tiles() -> None:
    in_boxes = replace(run(10, 5), network=NetworkTime(tiles=1, seconds=5))
    rows = cells(table("full", [PEER, entry("exact, boxes", in_boxes)], LIMIT))
    assert rows["exact, boxes"][2:5] == ["1", "5.0 (6.0x)", "50%"]


def test_the_speed_table_counts_differing_voxels() -> None:
    rows = cells(table("fast", [PEER, entry("bf16", run(10, 8), differing=12)], LIMIT))
    assert rows["bf16"][-1] == "12 (1.20%), Dice 0.900"


def test_the_speed_table_marks_an_unknown_network_time_with_a_star() -> None:
    starred = table("fast", [PEER, entry("exact", run(25, 20, is_known=False))], LIMIT)
    assert cells(starred)["exact"][3:7] == ["\\* 20.0", UNKNOWN, UNKNOWN, UNKNOWN]
    assert "\\* The command reports no time" in starred
    assert "\\*" not in table("fast", [PEER, entry("exact", run(25, 20))], LIMIT)


def test_the_speed_table_gives_reasons_of_refusals_and_failures() -> None:
    refused = RunFailed("exit status 64, no such key", "", refused=True)
    failed = RunFailed("exit status 1, killed", "", refused=False)
    report = table(
        "fast", [PEER, entry("bf16", failure=refused), entry("exact", failure=failed)], LIMIT
    )
    assert cells(report)["bf16"][0] == "refused"
    assert cells(report)["exact"][0] == "failed"
    assert "bf16 refused: exit status 64, no such key" in report
    assert "exact failed: exit status 1, killed" in report


def test_the_speed_table_without_totalsegmentator_has_no_ratios() -> None:
    peer = entry("TotalSegmentator", failure=RunFailed("exit status 1", "", refused=False))
    rows = cells(table("fast", [peer, entry("exact", run(25, 20))], LIMIT))
    assert rows["exact"][0] == "25.0"
    assert rows["exact"][-1] == UNKNOWN


def test_all_lines_of_the_speed_table_have_one_width() -> None:
    report = table("fast", [PEER, entry("exact", run(25, 20), differing=12)], LIMIT)
    assert len({len(line) for line in report.splitlines() if line.startswith("|")}) == 1

"""Tests how the benchmark of the time outside the networks splits the time of a run."""

import pytest

from benchmarks.outside_network import Run, parts_of, table_of

STAGES = {"read_study": 0.5, "segment": 6.0, "write_seg": 1.0}


def a_run(processor_parts: dict[str, float] | None = None) -> Run:
    return Run(
        seconds=10.0,
        processor_seconds=12.0,
        parts=parts_of(STAGES, 4.5, 10.0, 0.5),
        processor_parts=processor_parts or {},
    )


def test_the_parts_of_a_run_add_up_to_its_time() -> None:
    run = a_run()
    assert sum(run.parts.values()) == pytest.approx(10.0)
    assert run.parts["segment"] == pytest.approx(1.5)
    assert run.parts["start"] == pytest.approx(2.0)
    assert run.outside_seconds == pytest.approx(5.5)


def test_the_table_has_a_dash_where_a_kind_of_run_has_no_such_stage() -> None:
    without = {"read_study": 0.5, "segment": 6.0}
    labels_only = Run(
        seconds=8.0,
        processor_seconds=9.0,
        parts=parts_of(without, 4.5, 8.0, 0.5),
        processor_parts={},
    )
    lines = list(
        table_of({"cold, labels only": [labels_only], "warm": [a_run({"write_seg": 0.9})]})
    )
    rows = {line[:24].strip(): line[24:].split() for line in lines[1:]}
    assert rows["write_seg"] == ["-", "1.00", "0.90"]
    assert rows["segment, without network"] == ["1.50", "1.50", "-"]
    assert rows["outside"] == ["3.50", "5.50"]

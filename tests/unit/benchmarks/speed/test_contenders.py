from pathlib import Path

import pytest

from benchmarks.speed.contenders import Case, RunFailed, our_application
from totalmap.settings import Variant


def test_a_failed_run_of_the_speed_benchmark_reports_our_reason_and_its_last_lines(
    tmp_path: Path,
) -> None:
    case = Case(
        variant=Variant.FAST, source=tmp_path / "in", models=tmp_path / "models", device="cpu"
    )
    case.source.mkdir()
    with pytest.raises(RunFailed, match="exit status 65, ") as raised:
        our_application(case, "exact", rounds=1).segment(tmp_path / "out")
    assert not raised.value.refused
    assert "run_failed" in raised.value.tail
    assert "run_failed" not in raised.value.reason


def test_a_run_of_the_speed_benchmark_with_an_unknown_setting_counts_as_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOTALMAP_SEGMENTATION__NONSENSE", "1")
    case = Case(variant=Variant.FAST, source=tmp_path, models=tmp_path, device="cpu")
    with pytest.raises(RunFailed, match=r"setting segmentation\.nonsense") as raised:
        our_application(case, "exact", rounds=1).segment(tmp_path / "out")
    assert raised.value.refused
    assert "ConfigError" not in raised.value.reason

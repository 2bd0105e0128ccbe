import json
import logging
from collections.abc import Iterator

import pytest

from totalmap import log


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    log.configure()


def test_json_is_one_object_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("json")
    log.get_logger().info("study_read", instances=20)
    captured = capsys.readouterr()
    assert captured.out == ""
    event = json.loads(captured.err)
    assert (event["event"], event["instances"], event["level"]) == ("study_read", 20, "info")


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(level=logging.ERROR)
    log.get_logger().info("study_read")
    log.get_logger().error("run_failed")
    assert "study_read" not in (text := capsys.readouterr().err)
    assert "run_failed" in text


def test_the_sdk_may_not_log_attribute_values() -> None:
    """monai.deploy logs values of the study at INFO on the root logger."""
    log.configure()
    assert logging.getLogger().getEffectiveLevel() >= logging.WARNING
    assert logging.getLogger("pydicom").getEffectiveLevel() >= logging.ERROR

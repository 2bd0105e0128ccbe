import json
import logging
import warnings
from collections.abc import Iterator

import pytest
from pydicom import config
from pydicom.valuerep import validate_value

from tests.phantom.modules import PATIENT_NAME
from totalmap import log


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    log.configure()


def test_a_json_log_has_one_object_in_each_line_of_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure("json")
    log.get_logger().info("study_read", instances=20)
    captured = capsys.readouterr()
    assert captured.out == ""
    event = json.loads(captured.err)
    assert (event["event"], event["instances"], event["level"]) == ("study_read", 20, "info")


def test_events_below_the_log_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(level=logging.ERROR)
    log.get_logger().info("study_read")
    log.get_logger().error("run_failed")
    assert "study_read" not in (text := capsys.readouterr().err)
    assert "run_failed" in text


def test_the_monai_sdk_can_not_log_attribute_values_of_a_study() -> None:
    """monai.deploy logs values of the study at INFO on the root logger."""
    log.configure()
    assert logging.getLogger().getEffectiveLevel() >= logging.WARNING
    assert logging.getLogger("pydicom").getEffectiveLevel() >= logging.ERROR


@pytest.mark.parametrize("stacklevel", [1, 2, 3])
def test_a_warning_of_a_library_is_logged_without_the_value_that_it_quotes(
    stacklevel: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pydicom quotes the sender's value, and gives the caller's module as the warning's place."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log.configure(level=logging.DEBUG)
        validate_value("DA", PATIENT_NAME, config.WARN)
        warnings.warn(f"Invalid value for VR DA: {PATIENT_NAME}", stacklevel=stacklevel)
        logging.getLogger("pydicom.filereader").error("value %s", PATIENT_NAME)
    said = "".join(capsys.readouterr())
    assert PATIENT_NAME not in said
    assert said.count("library_warned") == 2


def test_a_log_record_of_a_library_is_reported_without_its_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure()
    library = logging.getLogger("some.library")
    for _ in range(1000):
        library.warning("value %s", PATIENT_NAME)
    library.warning("value %d", PATIENT_NAME)  # an error of its own
    try:
        int(PATIENT_NAME)
    except ValueError:
        library.exception("failed with %s", PATIENT_NAME)
    said = "".join(capsys.readouterr())
    assert PATIENT_NAME not in said
    assert said.count("library_reported") == 3, "the same report is logged once a minute"
    assert "ValueError" in said
    assert "test_log.py" in said

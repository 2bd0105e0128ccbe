from pathlib import Path

import pytest

from app.command_line import parse_request
from totalmap.default_locations import REPOSITORY
from totalmap.errors import ConfigError

MAP_ENVIRONMENT = {
    "HOLOSCAN_INPUT_PATH": "/var/holoscan/input",
    "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output",
    "HOLOSCAN_MODEL_PATH": "/opt/holoscan/models",
    "HOLOSCAN_CONFIG_PATH": "/var/holoscan/app.yaml",
}


def test_command_line_arguments_override_the_environment_of_a_map() -> None:
    request = parse_request(["-i", "in", "-o", "out", "-m", "weights"], MAP_ENVIRONMENT)
    assert request.input_path == Path("in")
    assert request.output_folder == Path("out")
    assert request.models_folder == Path("weights")


def test_a_map_is_configured_by_its_environment_variables() -> None:
    request = parse_request([], MAP_ENVIRONMENT)
    assert request.input_path == Path("/var/holoscan/input")
    assert request.output_folder == Path("/var/holoscan/output")
    assert request.models_folder == Path("/opt/holoscan/models")
    assert request.settings_file == Path("/var/holoscan/app.yaml")


def test_default_models_and_settings_are_those_of_the_repository() -> None:
    request = parse_request(["-i", "in", "-o", "out"], {})
    assert request.models_folder == REPOSITORY / "models" / "totalsegmentator"
    assert request.settings_file == REPOSITORY / "app.yaml"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out"], "no input: give an argument or HOLOSCAN_INPUT_PATH"),
        (["-i", "in"], "no output folder: give an argument or HOLOSCAN_OUTPUT_PATH"),
        (["-i", "in", "-o", "out", "--fast"], "--fast"),
    ],
)
def test_wrong_arguments_of_the_application_are_config_errors(
    arguments: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_request(arguments, {})

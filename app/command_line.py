"""Reads the command line of a MAP, `python -m app -i IN -o OUT [-m MODELS]`, and runs it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from app.argument_parser_base import ArgumentParser
from app.run_study import RunRequest, run_application
from totalmap import log
from totalmap.default_locations import DEFAULT_MODELS, DEFAULT_SETTINGS
from totalmap.environment_variables import process_environment
from totalmap.errors import ConfigError, TotalMapError

INPUT_VARIABLE = "HOLOSCAN_INPUT_PATH"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the application and returns its exit status."""
    log.configure()
    try:
        request = parse_request(arguments, process_environment())
    except TotalMapError as error:
        log.get_logger().error("run_failed", kind=type(error).__name__, message=str(error))
        return error.exit_status
    return run_application(request).exit_status


def parse_request(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> RunRequest:
    """Reads the arguments, then the HOLOSCAN_* variables of a MAP, then the defaults.

    Raises:
        ConfigError: The input or the output folder is not named, or an argument is not known.
    """
    parser = ArgumentParser(prog="python -m app", description="Segments a study.")
    parser.add_argument(
        "-i", "--input", type=Path, help="DICOM folder or file, ZIP archive, or NIfTI file"
    )
    parser.add_argument("-o", "--output", type=Path, help="folder for results and status.json")
    parser.add_argument("-m", "--model", "--models", dest="model", type=Path, help="models folder")
    parser.add_argument("-c", "--config", type=Path, help="settings file (default: app.yaml)")
    parser.add_argument("--study", help="number or UID of the study, where the input holds several")
    given = parser.parse_args(arguments)

    def choose(argument: Path | None, name: str, default: Path | None = None) -> Path:
        value = argument or environment.get(name) or default
        if value is None:
            missing = "input" if name == INPUT_VARIABLE else "output folder"
            raise ConfigError(f"no {missing}: give an argument or {name}")
        return Path(value)

    return RunRequest(
        input_path=choose(given.input, INPUT_VARIABLE),
        output_folder=choose(given.output, "HOLOSCAN_OUTPUT_PATH"),
        models_folder=choose(given.model, "HOLOSCAN_MODEL_PATH", DEFAULT_MODELS),
        settings_file=choose(given.config, "HOLOSCAN_CONFIG_PATH", DEFAULT_SETTINGS),
        study=given.study,
    )

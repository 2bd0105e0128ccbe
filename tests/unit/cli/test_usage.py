"""`totalmap` reads its arguments, and ends with one line and status 64 if they are wrong."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

from cli.__main__ import app
from cli.options import segmentation_settings
from tests.conftest import REPOSITORY
from totalmap import __version__
from totalmap.errors import ExitStatus


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields all commands and groups with their words."""

    def below(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield words, command
        inner: Mapping[str, Any] = getattr(command, "commands", {})
        for name, one in inner.items():
            yield from below((*words, name), one)

    yield from below((), typer.main.get_command(app))


COMMANDS = dict(commands())


def ended(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*map(str, words)])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_of_totalmap_has_a_help_text(words: tuple[str, ...]) -> None:
    done = ended(*words, "--help")
    assert done.exit_code == 0
    assert "Usage: " in done.stdout


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_unknown_option_ends_every_command_with_64_and_one_line(words: tuple[str, ...]) -> None:
    done = ended(*words, "--nonsense")
    assert done.exit_code == 64
    assert len(done.stderr.splitlines()) == 1
    assert "--nonsense" in done.stderr
    assert f"{' '.join(words)} --help" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runn"], "Did you mean 'run'?"),
        (["run"], "Missing argument 'input_path'"),
        (["check", "seg.dcm"], "Missing option '--source'"),
        (["models", "install", "total", "--variant", "fasst"], "did you mean fast"),
        (["models", "install", "toal"], "did you mean total"),
        (["deploy", "render", "x", "--target", "agro"], "'agro' is not one of 'docker', 'argo'"),
        (["deploy", "render", "x", "--target", "argo", "--parallel", "no"], "--parallel"),
        (["models"], "a command is missing"),
        ([], "a command is missing"),
    ],
)
def test_wrong_command_line_arguments_end_with_one_line_and_64(words: list[str], said: str) -> None:
    done = ended(*words)
    assert done.exit_code == 64
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert said in line


def test_the_options_for_models_and_config_have_the_same_names_in_all_commands() -> None:
    names: dict[str, set[str]] = {"--models": set(), "--config": set()}
    letters: dict[str, set[str]] = {"-m": set(), "-c": set()}
    for words, command in COMMANDS.items():
        for parameter in command.params:
            options = set(parameter.opts)
            assert not options & {"--folder", "--settings", "--model"}, words
            for name, letter in (("--models", "-m"), ("--config", "-c")):
                if options & {name, letter}:
                    names[name] |= options
                    letters[letter] |= options
    assert names["--models"] == letters["-m"] == {"--models", "-m"}
    assert names["--config"] == letters["-c"] == {"--config", "-c"}


def test_version_option_shows_totalmap_and_totalsegmentator() -> None:
    done = ended("--version")
    assert done.exit_code == 0
    assert re.fullmatch(rf"TotalMAP {__version__}, TotalSegmentator [0-9.]+\n", done.stdout)


def test_two_settings_files_for_a_gateway_are_refused(tmp_path: Path) -> None:
    done = ended("status", tmp_path / "a.yaml", "--config", tmp_path / "b.yaml")
    assert done.exit_code == 64
    assert "two settings files are given" in done.stderr


def test_command_line_options_become_segmentation_settings() -> None:
    assert segmentation_settings() == {"segmentation": {}}
    given = segmentation_settings("body", "fast", "cpu", ["liver, spleen", "aorta"])
    assert given == {
        "segmentation": {
            "task": "body",
            "variant": "fast",
            "device": "cpu",
            "structures": ["liver", "spleen", "aorta"],
        }
    }


def test_inspect_accepts_the_task_option(tmp_path: Path) -> None:
    tmp_path.joinpath("in").mkdir()
    done = ended("inspect", tmp_path / "in", "--task", "total_mr")
    assert done.exit_code == 65


def test_every_exit_status_of_totalmap_is_documented() -> None:
    text = (REPOSITORY / "docs" / "results.md").read_text()
    table = text.partition("## Exit status")[2].partition("\n## ")[0]
    documented = {int(number) for number in re.findall(r"^\| ([0-9]+) \|", table, re.MULTILINE)}
    assert documented == {int(status) for status in ExitStatus}

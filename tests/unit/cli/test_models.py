from pathlib import Path

from typer.testing import CliRunner

from cli.__main__ import app
from totalmap.engine.weights import MANIFEST_NAME, read_manifest

runner = CliRunner()


def test_adopt_records_and_shows_the_hashes(fast_models: Path) -> None:
    (fast_models / MANIFEST_NAME).unlink()
    arguments = ["models", "adopt", str(fast_models), "--source", "random weights for tests"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    (record,) = read_manifest(fast_models).models
    for file in record.files:
        assert file.sha256 in done.output


def test_a_failure_is_one_line_and_its_exit_status(tmp_path: Path) -> None:
    done = runner.invoke(app, ["models", "adopt", str(tmp_path)])
    assert done.exit_code == 66
    assert done.stderr.startswith("Error: ")
    assert str(tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_install_of_an_unknown_task(tmp_path: Path) -> None:
    done = runner.invoke(app, ["models", "install", "toal", "--folder", str(tmp_path)])
    assert done.exit_code == 64
    assert "toal" in done.stderr

"""Commands of README.md and docs/image.md that need Docker, run as they stand there."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.docker_engine import BUILD_SECONDS, DockerEngine, output_folder
from tests.conftest import REPOSITORY
from tests.documents import commands
from totalmap import __version__

COMMANDS = [
    (document, command)
    for document in ("README.md", "docs/image.md")
    for command in commands(REPOSITORY / document)
    if command.startswith(("docker run", "monai-deploy run"))
]
# What stands for a folder in the documents.
INPUT, OUTPUT = "/a/folder", "/another/folder"


def test_there_are_such_commands() -> None:
    assert {document for document, _ in COMMANDS} == {"README.md", "docs/image.md"}


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_a_command_runs(
    document: str,
    command: str,
    engine: DockerEngine,
    own_image: str,
    real_ct: Path,
    tmp_path: Path,
) -> None:
    output = output_folder(tmp_path / "output")
    replaced = {
        f"totalmap:{__version__}": own_image,
        INPUT: str(real_ct),
        OUTPUT: str(output),
    }
    words = [_replace(word, replaced) for word in shlex.split(command)]
    if words[0] == "monai-deploy":  # no GPU here, and root's files are not wanted
        words += ["--gpus", "none", "--uid", "1000", "--gid", "1000"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words,
        env={**engine.environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{document}: {done.stdout}{done.stderr}"
    assert (output / "results" / "seg.dcm").is_file()


def _replace(word: str, replaced: Mapping[str, str]) -> str:
    for old, new in replaced.items():
        if old in word:
            return word.replace(old, new)
    return word

"""Commands of our documents that need Docker, run as they stand there."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.docker_engine import (
    BUILD_SECONDS,
    DockerEngine,
    output_folder,
)
from tests.conftest import REPOSITORY
from tests.documents import commands
from tests.results import result_in
from totalmap import __version__

DOCUMENTS = ("docs/image.md", "docs/docker.md")
COMMANDS = [
    (document, command)
    for document in DOCUMENTS
    for command in commands(REPOSITORY / document)
    if command.startswith(("docker run", "monai-deploy run"))
]


@pytest.fixture(scope="module")
def named_image(engine: DockerEngine, own_image: str) -> str:
    """Our image under the name that the documents give it."""
    name = f"totalmap:{__version__}"
    engine.docker("tag", own_image, name)
    return name


def run(
    engine: DockerEngine, command: str, variables: Mapping[str, str], cwd: Path = REPOSITORY
) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env={**engine.environment, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_the_documents_have_docker_commands() -> None:
    assert {document for document, _ in COMMANDS} == set(DOCUMENTS)


@pytest.mark.usefixtures("named_image", "tools")
@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_a_documented_docker_command_runs(
    document: str, command: str, engine: DockerEngine, real_ct: Path, tmp_path: Path
) -> None:
    output = output_folder(tmp_path / "output")
    command = command.replace("/a/folder", str(real_ct)).replace("/another/folder", str(output))
    if document == "docs/image.md" and command.startswith("monai-deploy"):
        command += " --gpus none --uid 1000 --gid 1000"  # there is no GPU, and root is here
    run(engine, command, {"STUDY": str(real_ct), "RESULTS": str(output)})
    assert result_in(output, "seg.dcm").is_file()


@pytest.mark.usefixtures("named_image", "tools")
def test_the_stack_beside_orthanc_segments_a_study(
    engine: DockerEngine, real_ct: Path, tmp_path: Path
) -> None:
    """Orthanc itself can't be pulled here: the run of a study alone."""
    said = commands(REPOSITORY / "docs" / "docker.md")
    (render,) = [line for line in said if "deploy render" in line]
    (prepare,) = [line for line in said if line.startswith("install -m 600")]
    (segment,) = [line for line in said if line.endswith("run --rm totalmap")]
    output = output_folder(tmp_path / "output")
    variables = {"INPUT_FOLDER": str(real_ct), "OUTPUT_FOLDER": str(output)}
    for command in (render, prepare, segment):
        command = command.replace("build/site", str(tmp_path / "site"))
        run(engine, command, variables)
    assert result_in(output, "seg.dcm").is_file()

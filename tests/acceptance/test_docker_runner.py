"""What `docker run` is asked for, by a program of the same name that writes it down."""

import shlex
from pathlib import Path

import pytest

from tests.acceptance.task_manager.runner import ContainerTask, DockerRunner, Mount

TASK = ContainerTask(
    name="execution",
    mounts=(
        Mount(source=Path("/host/in"), target="/var/holoscan/input", read_only=True),
        Mount(source=Path("/host/out"), target="/var/holoscan/output", read_only=False),
    ),
    environment={"HOLOSCAN_INPUT_PATH": "/var/holoscan/input/"},
    entrypoint=("/bin/sh", "-c"),
    command=("python3 -m app",),
    user="1000:1000",
)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a `docker` writes its arguments; `run` ends with status 7."""
    log = tmp_path / "asked"
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> {shlex.quote(str(log))}\n[ "$3" != run ] || exit 7\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return log


def test_the_container_gets_what_the_plug_in_gives(asked: Path) -> None:
    runner = DockerRunner(image="totalmap:test", host="unix:///d.sock", options=["--network=none"])
    assert runner.run(TASK) == 7
    before, run, after = asked.read_text().splitlines()
    assert before == after == "-H unix:///d.sock rm --force execution"
    assert run == (
        "-H unix:///d.sock run --name execution "
        "--mount type=bind,source=/host/in,target=/var/holoscan/input,readonly "
        "--mount type=bind,source=/host/out,target=/var/holoscan/output "
        "--env HOLOSCAN_INPUT_PATH=/var/holoscan/input/ "
        "--user 1000:1000 --entrypoint /bin/sh --network=none "
        "totalmap:test -c python3 -m app"
    )

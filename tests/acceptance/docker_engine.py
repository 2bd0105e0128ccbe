"""Runs a Docker engine of Debian for the tests, with all its files in one folder.

Its network leads nowhere. It has a runtime called "nvidia", because `monai-deploy run` asks for it
even without a GPU: the script nvidia-runtime, which calls runc.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import free_port, require_program
from tests.waiting import WAIT_SECONDS

HERE = Path(__file__).parent
RUNTIME = HERE / "nvidia-runtime"
BRIDGE = "totalmap-test"
BUILD_SECONDS = 1200
# The packager of holoscan-cli uses a Docker context of this name as its builder.
BUILDER = "holoscan_app_builder"
HARDENED = (
    "--network=none",
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--shm-size=64m",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container that has ended."""

    exit_status: int
    seconds: float
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerEngine:
    """A running engine.

    Attributes:
        socket: The socket of the engine.
        home: HOME of commands that use it, with Docker's context and plug-ins.
    """

    socket: Path
    home: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of commands that use the engine."""
        return {**os.environ, "HOME": str(self.home), "DOCKER_BUILDKIT": "0"}

    def docker(self, *arguments: str, timeout: float = BUILD_SECONDS) -> str:
        """Runs a command of docker and returns what it prints."""
        done = subprocess.run(
            ["docker", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"docker {arguments[0]}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def has_image(self, image: str) -> bool:
        """Returns whether the engine has an image of this name."""
        return bool(self.docker("images", "--quiet", image))

    def run(
        self, image: str, source: Path, output: Path, options: Sequence[str] = HARDENED
    ) -> Container:
        """Runs an image on a study, and waits for its end."""
        start = time.monotonic()
        done = subprocess.run(
            ["docker", "run", "--rm", *options, *mounts(source, output), image],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        return Container(
            exit_status=done.returncode,
            seconds=time.monotonic() - start,
            output=done.stdout + done.stderr,
        )


def mounts(source: Path, output: Path) -> tuple[str, ...]:
    """Returns docker's options that mount the folders of a study and of its results."""
    return (
        f"--volume={source}:/var/holoscan/input:ro",
        f"--volume={output}:/var/holoscan/output",
    )


def output_folder(folder: Path) -> Path:
    """Makes a folder that any user may write, as a site would for a container."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    return folder


def require_docker() -> None:
    """Skips the tests that need an engine where none can be started."""
    require_program("docker", "docker.io")
    require_program("dockerd", "docker.io")
    require_program("debootstrap", "debootstrap")
    require_program("jq", "jq")
    require_program("ip", "iproute2")
    if os.getuid() != 0:
        pytest.skip("only root may start a Docker engine")


@contextmanager
def running_engine(folder: Path) -> Iterator[DockerEngine]:
    """Starts an engine and ends it with all its containers.

    Args:
        folder: For all its files. Unix sockets have short names only.
    """
    socket, home = folder / "docker.sock", folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    _bridge("add", "type", "bridge")
    subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)
    subprocess.run(["ip", "address", "replace", "172.29.251.1/24", "dev", BRIDGE], check=True)
    command = [
        str(require_program("dockerd", "docker.io")),
        f"--host=unix://{socket}",
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'pid'}",
        f"--bridge={BRIDGE}",
        "--iptables=false",
        "--ip6tables=false",
        f"--add-runtime=nvidia={RUNTIME}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    engine = DockerEngine(socket=socket, home=home)
    try:
        _wait_until_up(engine, process, folder / "log")
        _make_context(engine)
        yield engine
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)
        # It leaves this mounted, and `make clean` could not remove the folder.
        namespace = str(folder / "exec/netns/default")
        subprocess.run(["umount", namespace], capture_output=True, check=False)
        _bridge("delete")


def _bridge(*arguments: str) -> None:
    subprocess.run(
        ["ip", "link", arguments[0], BRIDGE, *arguments[1:]], capture_output=True, check=False
    )


def _wait_until_up(engine: DockerEngine, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    command = ["docker", f"--host=unix://{engine.socket}", "version"]
    while subprocess.run(command, capture_output=True, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.skip(f"no Docker engine can be started here: {log.read_text()[-500:]}")
        time.sleep(0.1)


def _make_context(engine: DockerEngine) -> None:
    contexts = engine.docker("context", "ls", "--format={{.Name}}").split()
    if BUILDER not in contexts:
        engine.docker("context", "create", BUILDER, f"--docker=host=unix://{engine.socket}")
    engine.docker("context", "use", BUILDER)


@contextmanager
def running_registry(program: Path, folder: Path) -> Iterator[str]:
    """Starts a registry, from which the packager pulls its base image, and yields its address."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"localhost:{free_port()}"
    settings = folder / "registry.yml"
    settings.write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}}}}}\n"
        f"http: {{addr: '{address}'}}\n",
        encoding="utf-8",
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", settings], stdout=log, stderr=log)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def install_plugin(engine: DockerEngine, program: Path) -> None:
    """Puts a plug-in of Docker where it, and `monai-deploy`, look for it."""
    folder = engine.home / ".docker" / "cli-plugins"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, folder / program.name)

"""Docker, and the images that the tests run: each is built once a session."""

import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.acceptance.base_images import (
    BASE,
    WITH_WHEELS,
    download_tools,
    make_base,
    make_base_with_wheels,
)
from tests.acceptance.docker_engine import (
    BUILD_SECONDS,
    DockerEngine,
    install_plugin,
    require_docker,
    running_engine,
    running_registry,
)
from tests.conftest import DEMO_MODELS, REPOSITORY

# Kept from run to run, for it takes minutes to make; `make clean` removes it.
WORKSHOP = REPOSITORY / "build" / "acceptance"


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    require_docker()
    with running_engine(WORKSHOP / "docker") as running:
        yield running


@pytest.fixture(scope="session")
def tools(engine: DockerEngine) -> Path:
    """What of Docker is not in bookworm; its plug-ins are where `monai-deploy` looks for them."""
    folder = download_tools(WORKSHOP) / "usr"
    for name in ("docker-buildx", "docker-compose"):
        install_plugin(engine, folder / "libexec/docker/cli-plugins" / name)
    return folder


@pytest.fixture(scope="session")
def offline(engine: DockerEngine) -> tuple[str, ...]:
    """Makes the images to build on, and returns the arguments that choose them."""
    make_base(engine, WORKSHOP)
    make_base_with_wheels(engine, WORKSHOP)
    return ("--base-image", BASE, "--build-image", WITH_WHEELS, "--network", "none")


@pytest.fixture(scope="session")
def own_image(engine: DockerEngine, offline: tuple[str, ...]) -> str:
    """Our own Dockerfile for the CPU, with the demo model baked in."""
    return make_image(engine, "image", offline)


@pytest.fixture(scope="session")
def packaged_image(engine: DockerEngine, offline: tuple[str, ...], tools: Path) -> Iterator[str]:
    """What `monai-deploy package` builds, with the demo model baked in."""
    with running_registry(tools / "bin/docker-registry", WORKSHOP / "registry") as address:
        assert WITH_WHEELS in offline
        base = f"{address}/{WITH_WHEELS}"
        engine.docker("tag", WITH_WHEELS, base)
        engine.docker("push", "--quiet", base)
        yield make_image(engine, "package", ("--base-image", base))


def make_image(
    engine: DockerEngine, target: str, options: Sequence[str], variant: str = "cpu"
) -> str:
    """Runs `make image` or `make package` with the demo model, and returns the image's name."""
    given = {"IMAGE": "totalmap-test/map", "VARIANT": variant, "WEIGHTS": str(DEMO_MODELS)}
    environment = {key: one for key, one in engine.environment.items() if key != "MAKEFLAGS"}
    done = subprocess.run(
        [
            "make",
            # A make below another names its folder, after all else.
            "--no-print-directory",
            target,
            *(f"{name}={value}" for name, value in given.items()),
            f"OPTIONS={shlex.join(options)}",
        ],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.splitlines()[-1]

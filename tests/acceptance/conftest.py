"""Provides Docker and the images of the tests; each image is built once a session."""

import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:  # the packages that they need may be missing
    from tests.acceptance.task_manager.object_store import ObjectStore
    from tests.acceptance.task_manager.rabbitmq_broker import Broker

# Kept between runs, because it takes minutes to make; `make clean` removes it.
WORKSHOP = REPOSITORY / "build" / "acceptance"


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    require_docker()
    with running_engine(WORKSHOP / "docker") as running:
        yield running


@pytest.fixture(scope="session")
def tools(engine: DockerEngine) -> Path:
    """Docker's tools that bookworm lacks; its plug-ins are installed for `monai-deploy`."""
    folder = download_tools(WORKSHOP) / "usr"
    for name in ("docker-buildx", "docker-compose"):
        install_plugin(engine, folder / "libexec/docker/cli-plugins" / name)
    return folder


@pytest.fixture(scope="session")
def offline(engine: DockerEngine) -> tuple[str, ...]:
    """Makes the base images, and returns the arguments that choose them."""
    make_base(engine, WORKSHOP)
    make_base_with_wheels(engine, WORKSHOP)
    return ("--base-image", BASE, "--build-image", WITH_WHEELS, "--network", "none")


@pytest.fixture(scope="session")
def own_image(engine: DockerEngine, offline: tuple[str, ...]) -> str:
    """The image of our own Dockerfile for the CPU, with the demo model inside."""
    return make_image(engine, "image", offline)


@pytest.fixture(scope="session")
def packaged_image(engine: DockerEngine, offline: tuple[str, ...], tools: Path) -> Iterator[str]:
    """The image of `monai-deploy package`, with the demo model inside."""
    with running_registry(tools / "bin/docker-registry", WORKSHOP / "registry") as address:
        assert WITH_WHEELS in offline
        base = f"{address}/{WITH_WHEELS}"
        engine.docker("tag", WITH_WHEELS, base)
        engine.docker("push", "--quiet", base)
        yield make_image(engine, "package", ("--base-image", base))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Broker]":
    from tests.acceptance.task_manager.rabbitmq_broker import running_broker

    with running_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[ObjectStore]":
    from tests.acceptance.task_manager.object_store_server import running_store
    from tests.acceptance.task_manager.workflow_manager import BUCKET

    with running_store(tmp_path_factory.mktemp("store")) as running:
        running.make_bucket(BUCKET)
        yield running


@pytest.fixture
def empty_broker(broker: "Broker") -> "Broker":
    """The broker with empty queues."""
    from tests.acceptance.task_manager.messages import Topic
    from tests.acceptance.task_manager.workflow_manager import take_all

    broker.wait_until_up()
    for topic in Topic:
        take_all(broker.port, topic)
        take_all(broker.port, topic.dead_letters)
    return broker


def make_image(
    engine: DockerEngine, target: str, options: Sequence[str], variant: str = "cpu"
) -> str:
    """Runs `make image` or `make package` with the demo model, and returns the image's name."""
    given = {"IMAGE": "totalmap-test/map", "VARIANT": variant, "WEIGHTS": str(DEMO_MODELS)}
    environment = {name: value for name, value in engine.environment.items() if name != "MAKEFLAGS"}
    done = subprocess.run(
        [
            "make",
            # A nested make would print its folder last.
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

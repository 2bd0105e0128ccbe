"""Runs a container: by docker, or as a plain process with the same environment."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

TIMEOUT_SECONDS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder of the host and where the container sees it."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerTask:
    """The container that the Docker plug-in asks Docker for.

    Attributes:
        name: Of the container: the execution ID.
        user: For whom the plug-in gives the folders away; None leaves that to the image.
    """

    name: str
    mounts: tuple[Mount, ...]
    environment: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    user: str | None


class Runner(Protocol):
    """Runs a task to its end."""

    def run(self, task: ContainerTask) -> int:
        """Returns the exit status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRunner:
    """Runs a command with the environment of a container and the folders of the host.

    Attributes:
        command: In place of the container's entry point and command.
        folders: Where else something of the image lies on this machine, by its path in the image.
        cwd: Where the command runs.
    """

    command: Sequence[str]
    folders: Mapping[str, Path] = field(default_factory=dict)
    cwd: Path | None = None

    def run(self, task: ContainerTask) -> int:
        """Returns the exit status."""
        places = dict(self.folders) | {mount.target: mount.source for mount in task.mounts}
        environment = {
            name: str(places.get(value.rstrip("/"), value))
            for name, value in task.environment.items()
        }
        return subprocess.run(
            self.command,
            cwd=self.cwd,
            env=os.environ | environment,
            timeout=TIMEOUT_SECONDS,
            check=False,
        ).returncode


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerRunner:
    """Runs an image with `docker run`, as the plug-in does through Docker's API.

    The plug-in also asks for the runtime `nvidia`, which a machine without a GPU lacks: that is
    an option.

    Attributes:
        image: Its name.
        host: Where the engine listens: unix:///run/docker.sock.
        options: More words for `docker run`, such as --runtime=nvidia.
    """

    image: str
    host: str
    options: Sequence[str] = ()

    def run(self, task: ContainerTask) -> int:
        """Returns the exit status of the container."""
        docker = ["docker", "-H", self.host]
        remove = [*docker, "rm", "--force", task.name]
        # A container of an earlier delivery may still run under this name.
        subprocess.run(remove, capture_output=True, check=False)
        status = subprocess.run(
            [*docker, "run", *_words(task), *self.options, self.image, *_arguments(task)],
            timeout=TIMEOUT_SECONDS,
            check=False,
        ).returncode
        subprocess.run(remove, capture_output=True, check=False)
        return status


def _words(task: ContainerTask) -> list[str]:
    words = ["--name", task.name]
    for mount in task.mounts:
        access = ",readonly" if mount.read_only else ""
        words += ["--mount", f"type=bind,source={mount.source},target={mount.target}{access}"]
    for name, value in task.environment.items():
        words += ["--env", f"{name}={value}"]
    if task.user:
        words += ["--user", task.user]
    if task.entrypoint:
        words += ["--entrypoint", task.entrypoint[0]]
    return words


def _arguments(task: ContainerTask) -> list[str]:
    """Returns the words after the image: docker takes one word as entry point, the API several."""
    return [*task.entrypoint[1:], *task.command]

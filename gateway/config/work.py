"""How studies are segmented."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints

from totalmap.settings_file import Section

WorkDevice = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:[0-9]{1,2})?)$")]


class RunnerKind(StrEnum):
    """What segments: the application in the worker's own process, kept warm, or the MAP's image."""

    WARM = "warm"
    CONTAINER = "container"


class ContainerSection(Section):
    """The MAP's image, for `runner: container`.

    Attributes:
        docker: The command; podman takes the same arguments.
        memory_gb: The limit of the container.
        gpus: As Docker's --gpus, such as 1; None: no GPU.
    """

    image: str = "totalmap"
    docker: str = "docker"
    memory_gb: PositiveFloat = 8.0
    gpus: str | None = None


class WorkSection(Section):
    """How studies are segmented.

    Attributes:
        settings_file: The application's app.yaml.
        models_folder: With TotalSegmentator's weights.
        devices: One worker for each: auto, cpu, cuda, or cuda:N for the GPU of number N.
        time_out_minutes: A job that takes longer is stopped and dead.
        attempts: How often a job is begun that ends its worker, or for which the machine was
            too small; then it is dead.
        retry_seconds: Before a job is begun again for which the machine was too small.
        stop_seconds: How long a job may go on when the gateway is told to stop; then it is begun
            again at the next start.
    """

    runner: RunnerKind = RunnerKind.WARM
    container: ContainerSection = ContainerSection()
    settings_file: Path | None = None
    models_folder: Path | None = None
    devices: tuple[WorkDevice, ...] = Field(default=("auto",), min_length=1)
    time_out_minutes: PositiveFloat = 60.0
    attempts: PositiveInt = 3
    retry_seconds: PositiveFloat = 60.0
    stop_seconds: PositiveFloat = 20.0

"""The `work` section: how studies are segmented."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints

from totalmap.settings_file import Section

WorkDevice = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:[0-9]{1,2})?)$")]


class RunnerKind(StrEnum):
    """How a worker runs the application: in its own process, kept warm, or as a container."""

    WARM = "warm"
    CONTAINER = "container"


class ContainerSection(Section):
    """The container of the MAP, for `runner: container`.

    Attributes:
        docker: The command of Docker; podman takes the same arguments.
        memory_gb: The memory limit of the container, in GB.
        gpus: The value of Docker's --gpus, such as 1; None: no GPU.
    """

    image: str = "totalmap"
    docker: str = "docker"
    memory_gb: PositiveFloat = 8.0
    gpus: str | None = None


class WorkSection(Section):
    """The `work` section: how studies are segmented.

    Attributes:
        settings_file: The app.yaml of the application.
        models_folder: The folder of TotalSegmentator's weights.
        devices: The device of each worker: auto, cpu, cuda, or cuda:N for the GPU of number N.
        threads: The threads of each worker; None: the processors of the machine or container,
            divided by the number of workers without a GPU.
        time_out_minutes: A job that takes longer is ended, and is dead.
        attempts: How often a job is begun that ends its worker or runs out of memory; then it is
            dead.
        retry_seconds: The wait before a job is begun again that ran out of memory.
        stop_seconds: How long a job may go on when the gateway is told to stop; if it is not done
            then, it is begun again at the next start.
    """

    runner: RunnerKind = RunnerKind.WARM
    container: ContainerSection = ContainerSection()
    settings_file: Path | None = None
    models_folder: Path | None = None
    devices: tuple[WorkDevice, ...] = Field(default=("auto",), min_length=1)
    threads: PositiveInt | None = None
    time_out_minutes: PositiveFloat = 60.0
    attempts: PositiveInt = 3
    retry_seconds: PositiveFloat = 60.0
    stop_seconds: PositiveFloat = 20.0

    @property
    def workers_without_gpu(self) -> int:
        """How many workers compute on the processor, as far as the settings say."""
        return sum(not device.startswith("cuda") for device in self.devices)

    def threads_of_a_worker(self, processors: int) -> int | None:
        """Returns with how many threads each worker computes; None: as many as one alone.

        A worker on its own leaves the number to PyTorch, as `totalmap run` does: it is fewer where
        a core has two hardware threads.

        Args:
            processors: The number that this machine or container has.
        """
        if self.threads is None and self.workers_without_gpu > 1:
            return max(1, processors // self.workers_without_gpu)
        return self.threads

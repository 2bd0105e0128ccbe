"""Runs the application on a prepared job: in this process, kept warm, or as a container."""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from app.run_study import RunRequest
from app.warm_application import WarmApplication
from gateway.config import ContainerSection
from gateway.store.file_storage import INPUT_NAME, OUTPUT_NAME, SETTINGS_NAME, STATUS_NAME
from gateway.store.job import NO_DOUBT, Judgement, KeptResult
from totalmap.environment_variables import THREADS_VARIABLE, chosen_threads
from totalmap.errors import MemoryInUse, ResourceError
from totalmap.finding import Verdict
from totalmap.log import get_logger
from totalmap.run_log import Observer

log = get_logger()

# The stage of a job whose memory is used by another run.
WAITS_FOR_MEMORY = "waits_for_memory"
_DIGEST_CHARACTERS = 8
# Exit statuses of Docker, when it could not start the container.
_DOCKER_FAILED = (125, 126, 127)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job failed.

    Attributes:
        is_final: Whether another attempt would fail as well.
    """

    message: str
    is_final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a job: a failure, or results, with paths relative to the output folder."""

    failure: Failure | None
    results: tuple[KeptResult, ...] = ()
    judgement: Judgement = NO_DOUBT


class Runner(Protocol):
    """Runs the application on the folder of a job, with its input, settings and output."""

    def warm_up(self, settings_file: Path) -> None:
        """Prepares for jobs with these settings."""

    def run(self, folder: Path, observer: Observer) -> Outcome:
        """Segments the study of a job."""

    def abandon(self) -> None:
        """Ends the run of this worker, whose process has ended or is ending."""


class WarmRunner:
    """Runs the application in this process; networks stay loaded."""

    def __init__(self, models_folder: Path) -> None:
        self._application = WarmApplication()
        self._models_folder = models_folder

    def warm_up(self, settings_file: Path) -> None:
        """Loads the networks.

        Raises:
            ConfigError: The settings are wrong.
            ModelError: Weights are missing, not on record or changed, or a licence is missing.
        """
        self._application.warm_up(settings_file, self._models_folder)

    def run(self, folder: Path, observer: Observer) -> Outcome:
        """Segments the study of a job; waits while its memory is used by other runs."""
        request = RunRequest(
            input_path=folder / INPUT_NAME,
            output_folder=folder / OUTPUT_NAME,
            models_folder=self._models_folder,
            settings_file=folder / SETTINGS_NAME,
        )
        outcome = self._application.run(request, observer)
        while isinstance(outcome.error, MemoryInUse):
            log.info("waits_for_memory", reason=str(outcome.error))
            observer.stage_started(WAITS_FOR_MEMORY)
            self._application.wait_for_memory()
            outcome = self._application.run(request, observer)
        if outcome.error is not None:
            return Outcome(
                failure=Failure(
                    message=str(outcome.error),
                    is_final=outcome.exit_status != ResourceError.exit_status,
                )
            )
        return Outcome(
            failure=None,
            results=tuple(
                KeptResult(
                    path=result.path, kind=result.kind, sop_instance_uid=result.sop_instance_uid
                )
                for result in outcome.status.results
            ),
            judgement=_judgement(asdict(outcome.status.quality)),
        )

    def abandon(self) -> None:
        """Does nothing: the run ends with its process."""


class ContainerRunner:
    """Runs the MAP as a container without network and privileges, a new one for each job."""

    def __init__(self, settings: ContainerSection, models_folder: Path | None, name: str) -> None:
        """Starts nothing yet.

        Args:
            settings: The image, and the limits of its containers.
            models_folder: Replaces the models in the image; None: those are used.
            name: The name of the one container at a time (`container_name`).
        """
        self._settings = settings
        self._models_folder = models_folder
        self._name = name

    def warm_up(self, settings_file: Path) -> None:  # noqa: ARG002  each container loads its own
        """Removes a container that the worker may have left behind when it was killed."""
        self.abandon()

    def run(self, folder: Path, observer: Observer) -> Outcome:
        """Segments the study of a job."""
        observer.stage_started("container")
        (folder / OUTPUT_NAME).mkdir(exist_ok=True)
        docker = self._settings.docker
        try:
            done = subprocess.run(  # noqa: S603  no shell; the words are ours and the settings'
                self._command(folder), capture_output=True, check=False
            )
        except OSError as error:
            return _not_started(f"{docker}: {error.strerror}")
        if done.returncode in _DOCKER_FAILED:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            return _not_started(said[-1] if said else f"{docker} ended with {done.returncode}")
        return _read_status(folder / OUTPUT_NAME, done.returncode)

    def abandon(self) -> None:
        """Removes the container of this worker, and of no other worker."""
        words = [self._settings.docker, "rm", "--force", self._name]
        with suppress(OSError):  # without the command there is no container
            subprocess.run(words, capture_output=True, check=False)  # noqa: S603  as above

    def _command(self, folder: Path) -> Sequence[str]:
        settings = self._settings
        words = [settings.docker, "run", "--rm", "--name", self._name]
        words += ["--user", f"{os.getuid()}:{os.getgid()}", "--network=none", "--read-only"]
        words += ["--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108  inside the container
        words += ["--security-opt", "no-new-privileges", "--memory", f"{settings.memory_gb}g"]
        threads = chosen_threads()
        if threads is not None:
            words += ["--env", f"{THREADS_VARIABLE}={threads}"]
        if settings.gpus is not None:
            words += ["--gpus", settings.gpus]
        if self._models_folder is not None:
            words += ["--volume", f"{self._models_folder.absolute()}:/opt/holoscan/models:ro"]
        inside = {
            INPUT_NAME: "/var/holoscan/input:ro",
            OUTPUT_NAME: "/var/holoscan/output",
            SETTINGS_NAME: "/var/holoscan/app.yaml:ro",
        }
        for name, place in inside.items():
            words += ["--volume", f"{(folder / name).absolute()}:{place}"]
        return [*words, settings.image]


def container_name(worker: str, storage_folder: Path) -> str:
    """Returns the name of a worker's container: the same at each start, and unique.

    Args:
        worker: The name of the worker, which a worker of another gateway here may have, too.
        storage_folder: The storage folder of its gateway.
    """
    digest = hashlib.sha256(f"{worker} {storage_folder.absolute()}".encode()).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9_.-]", "-", worker)
    return f"totalmap-{readable}-{digest[:_DIGEST_CHARACTERS]}"


def _not_started(reason: str) -> Outcome:
    return Outcome(
        failure=Failure(message=f"the container was not started: {reason}", is_final=False)
    )


def _judgement(quality: Mapping[str, Any]) -> Judgement:
    """Returns the verdict in `quality` of status.json."""
    verdict = Verdict(quality["verdict"])
    return Judgement(
        verdict=verdict,
        reasons=tuple(
            finding["sentence"] for finding in quality["findings"] if finding["severity"] == verdict
        ),
        is_held=quality["held"] is not None,
    )


def _read_status(output: Path, exit_status: int) -> Outcome:
    """Returns the outcome in status.json; without a status.json, the container was killed."""
    try:
        status = json.loads((output / STATUS_NAME).read_text(encoding="utf-8"))
        error = status["error"]
        if error is None:
            results = tuple(KeptResult(**result) for result in status["results"])
            return Outcome(failure=None, results=results, judgement=_judgement(status["quality"]))
        is_final = error["exit_status"] != ResourceError.exit_status
        return Outcome(failure=Failure(message=error["message"], is_final=is_final))
    except (OSError, ValueError, KeyError, TypeError):
        message = f"the container ended with {exit_status} and left no {STATUS_NAME}"
        return Outcome(failure=Failure(message=message, is_final=False))

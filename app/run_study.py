"""Runs the application on one study; writes status.json after a success and after a failure."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors_of_other_libraries import foreign_errors_translated
from app.load_torch_library import load_torch_library_in_thread
from app.stop_signals import stop_signals_answered
from totalmap import log
from totalmap.engine.tasks import load_task
from totalmap.errors import (
    ConfigError,
    ExitStatus,
    Stopped,
    TotalMapError,
)
from totalmap.import_without_garbage_collection import no_collection_during_imports
from totalmap.keep_freed_memory import keep_freed_memory
from totalmap.open_input import OpenedInput, open_input
from totalmap.run_log import Observer, RunLog
from totalmap.settings import Arithmetic, Overrides, Settings, load_settings
from totalmap.writers.all_or_nothing import Release, open_release
from totalmap.writers.rejection_note import settle_verdict
from totalmap.writers.status_json import RunStatus, describe_run
from totalmap.writers.workflow_metadata import summarise

if TYPE_CHECKING:
    from operators.segmenter import EngineLoader

logger = log.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run: the folders of a MAP, the settings file, and settings that override it.

    Attributes:
        input_path: A folder, a ZIP archive, a DICOM file or a NIfTI file (docs/input.md).
        study: The number or the Study Instance UID of the study to segment; None: the only one.
    """

    input_path: Path
    output_folder: Path
    models_folder: Path
    settings_file: Path
    study: str | None = None
    overrides: Overrides = field(default_factory=dict)

    def load_settings(self) -> Settings:
        """Returns the settings of the run.

        Raises:
            ConfigError: They are wrong, or the task, variant or structure does not exist.
        """
        settings = load_settings(self.settings_file, overrides=self.overrides)
        wanted = settings.segmentation
        load_task(wanted.task, wanted.variant, wanted.structures, wanted.search)
        return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """The error of a run, if any, and its status."""

    error: TotalMapError | None
    status: RunStatus

    @property
    def exit_status(self) -> int:
        """0, or the exit status of the error (sysexits.h)."""
        return ExitStatus.SUCCEEDED if self.error is None else self.error.exit_status


def run_application(
    request: RunRequest,
    observer: Observer | None = None,
    load_engine: "EngineLoader | None" = None,
    source: OpenedInput | None = None,
    stopped: Callable[[TotalMapError], None] | None = None,
) -> RunOutcome:
    """Segments a study of the input and releases all results or none.

    Never raises a TotalMapError: the outcome holds it. status.json and metadata.json hold it too,
    if the output folder can be written.

    Args:
        request: The run.
        observer: Receives the progress.
        load_engine: Returns an engine that may be loaded already; None loads one.
        source: The input if it is open already; it stays open.
        stopped: Called with the reason when a stop signal ends the run; the process ends after it.
    """
    run_log = RunLog(observer)
    settings: Settings | None = None
    error: TotalMapError | None = None
    try:
        refuse_overlap(request)
        with open_release(request.output_folder) as release:
            try:
                settings = request.load_settings()
                if settings.segmentation.arithmetic is Arithmetic.EXACT:
                    keep_freed_memory()
                if observer is None:  # an observer displays the run itself
                    log.configure(settings.logging.format)
                with stop_signals_answered(partial(stop_run, settings, release, run_log, stopped)):
                    with foreign_errors_translated():
                        _run_chain(request, settings, release, run_log, load_engine, source)
                    settle_verdict(run_log, settings, release)
                    status = describe_run(run_log, settings, None)
                    release.publish(
                        status.as_json(), summarise(status).as_json(), held=run_log.held is not None
                    )
            except TotalMapError as failure:
                error = failure
                status = describe_run(run_log, settings, error)
                release.fail(status.as_json(), summarise(status).as_json())
    except TotalMapError as no_folder:  # a status can't be written either
        error = no_folder
    if error is None:
        logger.info("run_succeeded", results=len(run_log.results))
    else:
        logger.error("run_failed", kind=type(error).__name__, message=str(error))
    return RunOutcome(error=error, status=describe_run(run_log, settings, error))


def stop_run(
    settings: Settings | None,
    release: Release,
    run_log: RunLog,
    stopped: Callable[[TotalMapError], None] | None,
    signal_name: str,
) -> int | None:
    """Ends a run and returns its exit status; None if its results are released already."""
    error = Stopped(f"stopped by {signal_name}; nothing was released, run it again")
    status = describe_run(run_log, settings, error)
    try:
        if not release.fail(status.as_json(), summarise(status).as_json()):
            return None
    except TotalMapError as no_status:  # the run ends nevertheless
        logger.error("run_failed", kind=type(no_status).__name__, message=str(no_status))
    logger.error("run_failed", kind=type(error).__name__, message=str(error))
    if stopped is not None:
        with suppress(Exception, SystemExit):  # the terminal may be gone
            stopped(error)
    return error.exit_status


def refuse_overlap(request: RunRequest) -> None:
    """Protects the input, since the output folder is cleared of earlier results at the start.

    Raises:
        ConfigError: The input lies in the output folder.
    """
    source, output = request.input_path.resolve(), request.output_folder.resolve()
    if source.is_relative_to(output):
        raise ConfigError("the input lies in the output folder: name another output folder")


def _run_chain(
    request: RunRequest,
    settings: Settings,
    release: Release,
    run_log: RunLog,
    load_engine: "EngineLoader | None",
    opened: OpenedInput | None,
) -> None:
    load_torch_library_in_thread()
    # Imported here, since wrong arguments need not wait for Holoscan.
    with no_collection_during_imports():
        from holoscan.logger import LogLevel, set_log_level

        from app.application import TotalMapApplication
        from totalmap.engine.engine import Engine

    # Holoscan prints tracebacks; TotalMAP prints one line instead.
    set_log_level(LogLevel.CRITICAL)

    opening = nullcontext(opened) if opened else open_input(request.input_path, run_log.stage)
    with opening as source:
        run_log.opened(source.kind)
        application = TotalMapApplication(
            [],
            settings=settings,
            source=source,
            study=request.study,
            models_folder=request.models_folder,
            release=release,
            run_log=run_log,
            load_engine=load_engine or Engine,
        )
        application.run()

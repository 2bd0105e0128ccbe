"""Runs all studies of an input one after the other, each with its own output folder."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from app.errors_of_other_libraries import foreign_errors_translated
from app.run_study import RunOutcome, RunRequest, refuse_overlap, stop_run
from app.stop_signals import stop_signals_answered
from app.warm_application import WarmApplication
from totalmap.dicom.study_choice import StudyEntry, list_studies
from totalmap.errors import (
    ConfigError,
    InputError,
    ModelError,
    OutputError,
    ResourceError,
    TotalMapError,
)
from totalmap.open_input import InputKind, OpenedInput, open_input
from totalmap.run_log import Observer, RunLog
from totalmap.settings import load_settings
from totalmap.writers.all_or_nothing import open_release, study_folder
from totalmap.writers.status_json import describe_run
from totalmap.writers.workflow_metadata import summarise

# The exit status of all studies is the first of these that any study has: a defect, then an error
# that ends every study, then a retryable error, then a study that can't be segmented.
WORST_FIRST = (
    OutputError.exit_status,
    ConfigError.exit_status,
    ModelError.exit_status,
    ResourceError.exit_status,
    InputError.exit_status,
    0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """A study, its output folder and the outcome of its run."""

    study: StudyEntry
    output_folder: Path
    outcome: RunOutcome


def worst_exit_status(runs: Iterable[StudyRun]) -> int:
    """Returns the exit status of all runs together."""
    return min((run.outcome.exit_status for run in runs), key=WORST_FIRST.index)


def run_all_studies(
    request: RunRequest,
    observer: Observer,
    begins: Callable[[StudyEntry], None],
    stopped: Callable[[TotalMapError], None] | None = None,
) -> tuple[StudyRun, ...]:
    """Segments the studies in the order of their numbers; after a failure the next one follows.

    Args:
        request: The run; the output folder gets a folder for each study.
        observer: Receives the progress of each study.
        begins: Called with each study before its run.
        stopped: As in `run_application`.

    Raises:
        TotalMapError: No study was run. If the output folder can be written, status.json holds the
            reason.
    """
    refuse_overlap(request)
    run_log = RunLog(observer)
    with open_release(request.output_folder) as release, ExitStack() as kept:
        try:
            with (
                stop_signals_answered(partial(stop_run, None, release, run_log, stopped)),
                foreign_errors_translated(),
            ):
                source = kept.enter_context(open_input(request.input_path, run_log.stage))
                studies = _studies(source, request, run_log)
        except TotalMapError as error:
            status = describe_run(run_log, None, error)
            release.fail(status.as_json(), summarise(status).as_json())
            raise
        application = WarmApplication()
        runs = []
        for study in studies:
            begins(study)
            folder = request.output_folder / study_folder(study.number)
            of_study = replace(request, output_folder=folder, study=study.uid)
            outcome = application.run(of_study, observer, source, stopped)
            runs.append(StudyRun(study=study, output_folder=folder, outcome=outcome))
        return tuple(runs)


def _studies(source: OpenedInput, request: RunRequest, run_log: RunLog) -> tuple[StudyEntry, ...]:
    run_log.opened(source.kind)
    if source.kind is InputKind.NIFTI:
        raise ConfigError("--all runs every DICOM study, and the input is a NIfTI file: omit --all")
    settings = load_settings(request.settings_file)
    with run_log.stage("read_study"):
        repair = settings.study.missing_uids == "repair"
        return list_studies(source.studies(repair_missing_uids=repair))

"""The commands `totalmap serve`, `totalmap status` and `totalmap gateway ...`."""

import getpass
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import errors_to_exit_status
from totalmap.errors import ConfigError, ExitStatus
from totalmap.import_without_garbage_collection import no_collection_during_imports

# Only the commands of the gateway import it: other commands need not wait for it, and the image of
# the application comes without it.
if TYPE_CHECKING:
    from rich.table import Table

    from gateway.config import GatewaySettings
    from gateway.store.jobs import JobList
    from gateway.store.workers import WorkerList

app = typer.Typer(help="Looks after the gateway that `totalmap serve` runs.", no_args_is_help=True)

# Every command takes the file as an option or as its last argument.
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="gateway.yaml; without it, safe defaults."),
]
File = Annotated[
    Path | None, typer.Argument(metavar="CONFIG", help="gateway.yaml; the same as --config.")
]
JobId = Annotated[str, typer.Argument(help="The first characters of a job ID.")]


def serve(
    file: File = None,
    config: Config = None,
    only_work: Annotated[
        bool,
        typer.Option(
            "--only-work", help="Segment only, for a gateway whose Postgres and folder are shared."
        ),
    ] = False,
) -> None:
    """Receives studies by DICOM, segments them and sends the results on, until it is stopped."""
    from totalmap import log

    log.configure()
    with errors_to_exit_status():
        path = given_file(file, config)
        settings = _settings(path)
        with no_collection_during_imports():
            from gateway.alarm.alarm_watch import sending_alarms
            from gateway.folder_locks import machine_name, only_gateway
            from gateway.job_queue import set_aside_damaged_queue
            from gateway.preflight import faults_of_settings
            from gateway.recent_log import keep_recent_log
            from gateway.run_one_process import keep_private, stop_signals
            from gateway.supervise.ledger_integrity_check import checking_ledger
            from gateway.supervise.settings_reload import SettingsReload
            from gateway.supervisor import roles, serve

        keep_private(settings.storage_folder)
        with ExitStack() as running:
            if not only_work:
                running.enter_context(only_gateway(settings.storage_folder))
                set_aside_damaged_queue(settings)
            machine = running.enter_context(
                machine_name(settings.storage_folder, path, only_work=only_work)
            )
            keep_recent_log(settings.storage_folder, f"supervisor-{machine}")
            stop = running.enter_context(stop_signals())
            alarms = running.enter_context(sending_alarms(settings, machine, only_work=only_work))
            running.enter_context(checking_ledger(settings, stop))
            if not only_work:
                _show_where_the_page_is(settings, path)
            reload = SettingsReload(settings, path, machine, faults_of_settings)
            serve(reload, roles(settings, machine, only_work=only_work), stop, alarms)


def status(file: File = None, config: Config = None) -> None:
    """Shows what the gateway receives, segments and delivers, and what is wrong."""
    with errors_to_exit_status():
        path = given_file(file, config)
        settings = _settings(path)
        from cli.status import status_lines

        for line in status_lines(settings):
            print_line(line)


@app.command("check")
def check_command(file: File = None, config: Config = None) -> None:
    """Checks the settings of the gateway before a start, and tests each destination."""
    from totalmap import log

    log.configure(level=logging.CRITICAL)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    with errors_to_exit_status():
        path = given_file(file, config)
        settings, faults = _settings(path), 0
        from gateway.preflight import check

        for point in check(settings):
            faults += point.fault is not None
            said = {"good": point.good, "WARNING": point.warning, "FAULT": point.fault}
            word, text = next((word, text) for word, text in said.items() if text is not None)
            print_line(f"{point.name}: {word}: {text}")
        if faults:
            print_line(f"faults: {faults}")
            raise typer.Exit(ExitStatus.USAGE)


@app.command("retry")
def retry_command(job: JobId, file: File = None, config: Config = None) -> None:
    """Queues a job again that is dead, held back or cancelled."""
    with _found(job, file, config) as (jobs, job_id):
        _say(
            jobs.retry(job_id, _who()),
            "The job is queued again.",
            "This job has not failed, or a newer job has replaced it.",
        )


@app.command("cancel")
def cancel_command(job: JobId, file: File = None, config: Config = None) -> None:
    """Cancels a waiting or running job."""
    with _found(job, file, config) as (jobs, job_id):
        _say(jobs.cancel(job_id, _who()), "The job is cancelled.", "This job is already finished.")


@app.command("urgent")
def urgent_command(job: JobId, file: File = None, config: Config = None) -> None:
    """Makes a waiting job urgent."""
    with _found(job, file, config) as (jobs, job_id):
        _say(jobs.make_urgent(job_id, _who()), "The job is urgent now.", "This job is not waiting.")


@app.command("held")
def held_command(file: File = None, config: Config = None) -> None:
    """Lists the studies whose instances contradict each other; the page shows both sides."""
    with errors_to_exit_status():
        settings = _settings(given_file(file, config))
        from cli.held_studies import held_lines

        for line in held_lines(settings):
            print_line(line)


@app.command("confirm-clock")
def confirm_clock_command(file: File = None, config: Config = None) -> None:
    """Confirms the clock of the machine after a jump, so that retention goes on."""
    with errors_to_exit_status():
        settings = _settings(given_file(file, config))
        from gateway.store.clock_record import ClockRecord
        from gateway.store.database import open_existing_database

        with open_existing_database(settings) as database:
            is_done = ClockRecord(database).confirm(_who())
        _say(is_done, "Retention goes on.", "The clock has not jumped.")


@app.command("pause")
def pause_command(file: File = None, config: Config = None) -> None:
    """Stops the start of jobs; running jobs go on, and studies are received."""
    with _worker_list(file, config) as worker_list:
        worker_list.pause(_who(), is_paused=True)
    print_line("No more jobs are started until `totalmap gateway resume`.")


@app.command("resume")
def resume_command(file: File = None, config: Config = None) -> None:
    """Resumes the start of jobs, and the reception of a drained gateway."""
    with _worker_list(file, config) as worker_list:
        worker_list.pause(_who(), is_paused=False)
    print_line("Studies are received, and jobs are started again.")


@app.command("drain")
def drain_command(file: File = None, config: Config = None) -> None:
    """Stops receiving, finishes and delivers all jobs, and ends the gateway, for an upgrade."""
    with _worker_list(file, config) as worker_list:
        worker_list.drain(_who())
    print_line("The gateway ends when it has finished and delivered what it has.")
    print_line("Nothing is received until `totalmap gateway resume`, also after another start.")


def given_file(file: Path | None, config: Path | None) -> Path | None:
    """Returns the settings file, which may be given as an argument or as an option.

    Raises:
        ConfigError: Both are given, and differ.
    """
    if file is not None and config is not None and file != config:
        raise ConfigError(f"two settings files are given, {file} and {config}: give one")
    return file if config is None else config


def print_line(line: "str | Table") -> None:
    """Prints a line or a table."""
    from cli.console_without_markup import plain_console

    plain_console().print(line, soft_wrap=isinstance(line, str))


def given_settings(config: Path | None, file: Path | None = None) -> "GatewaySettings":
    """Returns the settings of the file that is given as an option or as an argument.

    Raises:
        ConfigError: They are wrong, two files are given, or the gateway is not installed.
    """
    return _settings(given_file(file, config))


def _settings(config: Path | None) -> "GatewaySettings":
    """Returns the settings of gateway.yaml.

    Raises:
        ConfigError: They are wrong, or the gateway is not installed.
    """
    try:
        from gateway.config import load_gateway_settings
    except ModuleNotFoundError as error:
        raise ConfigError(
            "there is no gateway here: the image of the application comes without it"
        ) from error
    from gateway.run_one_process import keep_files_private

    keep_files_private()
    return load_gateway_settings(config)


def _show_where_the_page_is(settings: "GatewaySettings", path: Path | None) -> None:
    """Prints the URL of the page, and how to add the first administrator if there is none.

    Raises:
        ConfigError: The ledger is another version's.
        ResourceError: The shared password of an earlier version can't be removed.
    """
    from gateway.web.shared_password import remove_shared_password

    web = settings.web
    scheme = "https" if web.certificate_file else "http"
    print_line(f"The page: {scheme}://{web.address}:{web.port}")
    if remove_shared_password(settings.storage_folder):
        print_line("The shared password of the earlier version is removed and lets nobody in.")
    if web.user_header is None and not _has_administrator(settings):
        option = f" --config {path}" if path else ""
        print_line(
            "No account is an administrator's. Add one: `totalmap gateway user add NAME --role "
            f"administrator{option}`"
        )


def _has_administrator(settings: "GatewaySettings") -> bool:
    """Returns whether there is a local administrator, or whether the ledger can't tell now."""
    from gateway.store.accounts import AccountList
    from gateway.store.database import open_database
    from totalmap.errors import ResourceError

    try:
        with open_database(settings) as database:
            return AccountList(database).has_administrator()
    except ResourceError:  # the processes wait for it, or say that it is damaged
        return True


@contextmanager
def _found(start: str, file: Path | None, config: Path | None) -> Iterator[tuple["JobList", str]]:
    """Yields the list of jobs and the id of the one job whose id begins with some characters."""
    with errors_to_exit_status():
        settings = _settings(given_file(file, config))
        from gateway.store.database import open_existing_database
        from gateway.store.jobs import JobList

        with open_existing_database(settings) as database:
            jobs = JobList(database)
            found = jobs.starting_with(start)
            if len(found) != 1:
                raise ConfigError(f"{len(found) or 'no'} jobs begin with {start}")
            yield jobs, found[0]


@contextmanager
def _worker_list(file: Path | None, config: Path | None) -> Iterator["WorkerList"]:
    with errors_to_exit_status():
        settings = _settings(given_file(file, config))
        from gateway.store.database import open_existing_database
        from gateway.store.workers import WorkerList

        with open_existing_database(settings) as database:
            yield WorkerList(database)


def _say(is_done: bool, done: str, not_done: str) -> None:
    if not is_done:
        raise ConfigError(not_done)
    print_line(done)


def _who() -> str:
    return getpass.getuser()

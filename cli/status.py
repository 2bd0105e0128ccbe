"""The command `totalmap status`: the state of the gateway, without patient data."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.table import Table

from gateway.config import GatewaySettings
from gateway.folder_locks import running_machines
from gateway.store.clock_record import ClockRecord
from gateway.store.conflicts import ConflictList
from gateway.store.counts_for_page_and_metrics import (
    Group,
    arriving_studies,
    count_jobs,
    destinations,
    is_idle,
    list_jobs,
)
from gateway.store.database import Database, open_existing_database
from gateway.store.destination_states import (
    DestinationState,
    DestinationStates,
    Reachability,
    reachability,
)
from gateway.store.file_storage import BYTES_PER_GB, free_bytes
from gateway.store.job import Job
from gateway.store.workers import LOST_SECONDS, WorkerList

ID_CHARACTERS = 12
AT_MOST = 20

_SHOWN = (Group.RUNNING, Group.WAITING, Group.FAILED)


def status_lines(settings: GatewaySettings) -> Iterator[str | Table]:
    """Yields the lines and tables of the command.

    Raises:
        ConfigError, ResourceError: The database can't be opened, or fails.
    """
    with open_existing_database(settings) as database:
        yield from _lines(settings, database)


def _lines(settings: GatewaySettings, database: Database) -> Iterator[str | Table]:
    yield from _gateway(settings, database)
    counts = count_jobs(database)
    yield "Jobs: " + ", ".join(f"{n} {state}" for state, n in counts.items())
    yield f"Studies being received: {len(arriving_studies(database))}"
    for group in _SHOWN:
        jobs = list_jobs(database, group, limit=AT_MOST)
        if jobs:
            yield _jobs_table(group, jobs)
    yield from _workers(database)
    yield from _destinations(settings, database)
    yield from _held(database)
    free_gb = free_bytes(settings.storage_folder) / BYTES_PER_GB
    limit_gb = settings.receive.keep_free_gb
    yield f"Disk: {free_gb:.1f} GB are free; with less than {limit_gb:g} nothing is received"


def _gateway(settings: GatewaySettings, database: Database) -> Iterator[str]:
    """Yields whether a gateway runs, on which machines, and since when."""
    machines = running_machines(settings.storage_folder)
    receiving = [machine for machine in machines if not machine.only_work]
    if not receiving:
        seen_at = WorkerList(database).last_sign_of_life()
        since = f", and has not run since {_moment(seen_at)}" if seen_at else ""
        yield f"No gateway runs{since}: nothing is received; `totalmap serve` starts one"
    for machine in receiving:
        yield f"The gateway runs on {machine.name} since {_moment(machine.since)}"
    for machine in machines:
        if machine.only_work:
            yield f"{machine.name} segments since {_moment(machine.since)}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _jobs_table(group: Group, jobs: Sequence[Job]) -> Table:
    table = Table("Job", "Rule", "Images", title=group.capitalize(), title_justify="left")
    table.add_column("State", overflow="fold")
    for job in jobs:
        table.add_row(job.job_id[:ID_CHARACTERS], job.rule, str(job.n_images), _how(job))
    return table


def _how(job: Job) -> str:
    if job.stage is not None and job.started_at is not None and job.ended_at is None:
        tiles = f", {job.tiles_done} of {job.tiles} tiles" if job.tiles else ""
        return f"{job.stage}{tiles}, for {time.time() - job.started_at:.0f} s"
    urgent = "urgent" if job.is_urgent else ""
    return ", ".join(word for word in (urgent, job.reason) if word)


def _workers(database: Database) -> Iterator[str]:
    worker_list = WorkerList(database)
    if worker_list.is_paused():
        yield "Paused: no more jobs are started."
    if worker_list.is_draining():
        yield _drain(database)
    for worker in worker_list.workers():
        silent = time.time() - worker.seen_at
        lost = ", LOST" if silent > LOST_SECONDS else ""
        work = f"works on {worker.job_id[:ID_CHARACTERS]}" if worker.job_id else "is idle"
        yield f"Worker {worker.worker} on {worker.device}: {work}, seen {silent:.0f} s ago{lost}"


def _drain(database: Database) -> str:
    if is_idle(database):
        return "Drained: nothing is received until `totalmap gateway resume`."
    return "Draining: the gateway ends when all jobs are finished and delivered."


def _held(database: Database) -> Iterator[str]:
    held = len(ConflictList(database).undecided())
    if held:
        yield f"Held studies: {held}; a decision is needed on the page"
    clock = ClockRecord(database).last()
    if clock is not None and clock.jump_seconds is not None:
        yield (
            f"The clock has jumped by {clock.jump_seconds:+.0f} s: nothing is deleted until "
            "`totalmap gateway confirm-clock`"
        )


def _destinations(settings: GatewaySettings, database: Database) -> Iterator[str]:
    names = [section.name for section in settings.destinations]
    states = DestinationStates(database).all()
    for health in destinations(database, names):
        state = states.get(health.destination)
        yield (
            f"Destination {health.destination}: {_reachability(settings, state)}; "
            f"{health.waiting} waiting, {health.failing} of them failing, {health.dead} given up"
            + (f": {health.last_reason}" if health.last_reason else "")
        )


def _reachability(settings: GatewaySettings, state: DestinationState | None) -> str:
    """Returns whether a destination answers, and why it does not."""
    found = reachability(state, settings.deliver.test_seconds)
    if state is None or found is Reachability.UNKNOWN:
        return "not known whether it answers"
    if found is Reachability.AWAY:
        return f"AWAY since {_moment(state.since)} ({state.fault})"
    return "answers"

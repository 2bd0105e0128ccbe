"""Runs the queue of jobs and deliveries, on DBOS: each entry is begun at least once.

All use of DBOS is in this file. It has its own tables, in a file beside the ledger or in a schema
of the same Postgres. The jobs themselves are in the ledger (gateway/store/jobs.py).
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from dbos import DBOS, DBOSConfig, EnqueueOptions
from sqlalchemy.exc import SQLAlchemyError

from gateway.config import GatewaySettings
from gateway.store.deliveries import Delivery
from gateway.store.job import Job
from gateway.store.ledger_damage import is_sound_sqlite
from totalmap.errors import ResourceError
from totalmap.log import get_logger

QUEUE_FILE = "queue.sqlite"
SEGMENT = "segment"
DELIVER = "deliver"
# The version of the arguments of an entry: entries of another version are never begun. The layout
# of the ledger has its own versions, so that an upgrade leaves the queue as it is.
QUEUE_VERSION = "1"

_URGENT, _ROUTINE = 1, 2
_POLL_SECONDS = 0.2
_DELETE_AT_ONCE = 1000
# DBOS begins an entry again that a crash interrupted, and counts how often. Only the ledger decides
# when a job has failed too often.
_NO_LIMIT = None
_IN_QUEUE = ("ENQUEUED", "DELAYED", "PENDING")
_RUNNING = ["PENDING"]
_OVER = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """The functions that handle entries of the queue; None: this process takes no such entries.

    A handler is called again if its process ends before it has returned, so it has to find out
    first what is left to do. It must not raise.

    Attributes:
        segment: Takes the id of a job and its run; called for one job at a time.
        deliver: Takes the id of a job, a destination and the run of the delivery; for what a
            decision delivers, also the number of the decision.
    """

    segment: Callable[[str, int], None] | None = None
    deliver: Callable[..., None] | None = None


class JobQueue:
    """The queue of a process, from `running_queue`."""

    def put_job(self, job: Job) -> None:
        """Queues a job for the next free worker, urgent jobs first; the same run is queued once."""
        self._put(
            {
                "queue_name": SEGMENT,
                "workflow_name": SEGMENT,
                "workflow_id": _job_key(job),
                "priority": _URGENT if job.is_urgent else _ROUTINE,
            },
            job.not_before,
            job.job_id,
            job.run,
        )

    def put_delivery(self, delivery: Delivery) -> None:
        """Queues a delivery; no destination waits for another one."""
        self._put(
            {
                "queue_name": DELIVER,
                "workflow_name": DELIVER,
                "workflow_id": _delivery_key(delivery),
                "queue_partition_key": delivery.destination,
            },
            delivery.not_before,
            delivery.job_id,
            delivery.destination,
            delivery.run,
            # Earlier versions know three arguments.
            *([delivery.decision_id] if delivery.decision_id else []),
        )

    def knows_jobs(self, jobs: Sequence[Job]) -> Sequence[bool]:
        """Returns for each job whether it is queued or running."""
        return self._knows([_job_key(job) for job in jobs])

    def knows_deliveries(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """Returns for each delivery whether it is queued or running."""
        return self._knows([_delivery_key(delivery) for delivery in deliveries])

    def pause(self, *, is_paused: bool) -> None:
        """Stops the queue from starting jobs, or starts them again; running jobs go on."""
        queue = DBOS.retrieve_queue(SEGMENT)
        concurrency = 0 if is_paused else 1
        if queue is not None and queue.worker_concurrency != concurrency:
            queue.set_worker_concurrency(concurrency)

    def take_over(self, executors: Sequence[str]) -> None:
        """Queues the entries again that were running in processes that are gone."""
        if not executors:
            return
        for queue in (SEGMENT, DELIVER):
            found = DBOS.list_workflows(
                status=_RUNNING,
                executor_id=list(executors),
                queue_name=queue,
                load_input=False,
                load_output=False,
            )
            if found:
                keys = [workflow.workflow_id for workflow in found]
                DBOS.resume_workflows(keys, queue_name=queue)

    def executors(self) -> set[str]:
        """Returns the names of the processes that have running entries."""
        found = DBOS.list_workflows(status=_RUNNING, load_input=False, load_output=False)
        return {workflow.executor_id for workflow in found if workflow.executor_id}

    def forget(self, older_than_seconds: float) -> int:
        """Deletes entries that ended before some time; returns the number of entries."""
        over = DBOS.list_workflows(
            status=_OVER,
            completed_before=_iso(time.time() - older_than_seconds),
            limit=_DELETE_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        if over:
            DBOS.delete_workflows([workflow.workflow_id for workflow in over])
        return len(over)

    def _put(self, options: EnqueueOptions, not_before: float, *arguments: str | int) -> None:
        delay = not_before - time.time()
        if delay > 0:
            options["delay_seconds"] = delay
        options["app_version"] = QUEUE_VERSION
        DBOS.enqueue_workflow_with_options(options, *arguments)

    def _knows(self, keys: Sequence[str]) -> Sequence[bool]:
        if not keys:
            return []
        found = DBOS.list_workflows(workflow_ids=list(keys), load_input=False, load_output=False)
        known = {workflow.workflow_id for workflow in found if workflow.status in _IN_QUEUE}
        return [key in known for key in keys]


def set_aside_damaged_queue(settings: GatewaySettings) -> None:
    """Renames the SQLite file of the queue if it is damaged; only while no process uses it.

    The dispatcher fills a new queue from the ledger.
    """
    file = settings.storage_folder / QUEUE_FILE
    if settings.ledger_url or not file.exists():
        return
    if is_sound_sqlite(file):
        return
    log.warning("damaged_queue_set_aside", reason="its pages do not fit together")
    for suffix in ("", "-wal", "-shm"):
        part = file.with_name(f"{file.name}{suffix}")
        if part.exists():
            part.rename(part.with_name(f"{part.name}.damaged"))


@contextmanager
def running_queue(
    settings: GatewaySettings, executor: str, handlers: Handlers
) -> Iterator[JobQueue]:
    """Takes part in the queue while the block runs.

    Entries that a crash of the same executor interrupted are begun again.

    Args:
        settings: Of the gateway: where the queue is, and the deliveries at once to a destination.
        executor: The name of this process: the same at each start, and unique.
        handlers: The functions that handle entries.

    Raises:
        ResourceError: The database can't be opened.
    """
    logging.getLogger("dbos").setLevel(logging.ERROR)
    _let_readers_and_writers_go_on(settings)
    DBOS(config=_config(settings, executor))
    queues = [SEGMENT] * bool(handlers.segment) + [DELIVER] * bool(handlers.deliver)
    DBOS.listen_queues(queues)
    for name, handler in {SEGMENT: handlers.segment, DELIVER: handlers.deliver}.items():
        if handler is not None:
            DBOS.workflow(name=name, max_recovery_attempts=_NO_LIMIT)(_named(name, handler))
    try:
        DBOS.launch()
        DBOS.register_queue(
            SEGMENT,
            worker_concurrency=1,
            polling_interval_sec=_POLL_SECONDS,
            on_conflict="never_update",
        )
        DBOS.register_queue(
            DELIVER,
            partition_worker_concurrency=settings.deliver.at_once,
            polling_interval_sec=_POLL_SECONDS,
            on_conflict="always_update",
        )
        yield JobQueue()
    except SQLAlchemyError as error:
        raise ResourceError(f"the queue does not answer: {type(error).__name__}") from error
    finally:
        DBOS.destroy(destroy_registry=True)


def _let_readers_and_writers_go_on(settings: GatewaySettings) -> None:
    """Gives the SQLite file of the queue a write-ahead log, as the ledger has one.

    DBOS leaves SQLite's default, where a process that is stopped while it reads keeps all others
    from writing (https://www.sqlite.org/wal.html). The file remembers the choice.
    """
    if settings.ledger_url:
        return
    file = settings.storage_folder / QUEUE_FILE
    # DBOS reports a file that it can't open; one that others use keeps its present mode.
    with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _config(settings: GatewaySettings, executor: str) -> DBOSConfig:
    url = settings.ledger_url or f"sqlite:///{settings.storage_folder.absolute() / QUEUE_FILE}"
    return DBOSConfig(
        name="totalmap",
        system_database_url=url,
        executor_id=executor,
        application_version=QUEUE_VERSION,
        log_level="ERROR",
        enable_otlp=False,
        # We use no messages of DBOS, but a stop waits for the thread that looks for them.
        notification_listener_polling_interval_sec=_POLL_SECONDS,
    )


def _named(name: str, handler: Callable[..., None]) -> Callable[..., None]:
    def workflow(*arguments: str | int) -> None:
        handler(*arguments)

    workflow.__qualname__ = workflow.__name__ = name
    return workflow


def _job_key(job: Job) -> str:
    return f"{job.job_id}.{job.run}"


def _delivery_key(delivery: Delivery) -> str:
    key = f"{delivery.job_id}.{delivery.destination}.{delivery.run}"
    return f"{key}/{delivery.decision_id}" if delivery.decision_id else key


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment))

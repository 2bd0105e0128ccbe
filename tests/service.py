"""Runs the whole gateway (`totalmap serve`) for tests, whose processes can be killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from sqlalchemy import select

from gateway.config import GatewaySettings, load_gateway_settings
from gateway.job_queue import QUEUE_FILE
from gateway.store.database import LEDGER_FILE, Database, open_database
from gateway.store.deliveries import DeliveryList, DeliveryState
from gateway.store.job import Job, JobState
from gateway.store.jobs import JobList
from gateway.store.schema import INSTANCES, TRANSFERS
from gateway.store.workers import WorkerList
from gateway.work.application_settings import write_overlay
from tests.gateway_process import storescu
from tests.phantom.study import SeriesSpec
from tests.servers import free_port
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until
from totalmap.default_locations import DEFAULT_SETTINGS

QUIET_SECONDS = 0.5
SECONDS_PER_HOUR = 3600
# A study that is segmented in seconds: one tile of the demo model.
SMALL = SeriesSpec(rows=64, columns=64, n_slices=30, pixel_spacing_mm=(4.4, 4.4))
# For tests of the way of a study, which do not look at its results.
FEW_RESULTS = ("seg", "sr")
# What is found in so small a study is, rightly, not always believed.
_DELIVER_ALL: dict[str, Any] = {"quality": {"rejected": "deliver"}}
# No sender is too slow for it.
_PATIENT = {"request_seconds": NEVER_SECONDS, "idle_seconds": NEVER_SECONDS}
_CLOCK = """
import time

now = time.time
time.time = lambda: now() + {seconds}
"""


@dataclass
class Service:
    """A running gateway, and its records.

    Attributes:
        file: Its gateway.yaml.
        process: `totalmap serve`.
    """

    file: Path
    settings: GatewaySettings
    database: Database
    process: "subprocess.Popen[bytes]"

    @property
    def jobs(self) -> JobList:
        """The recorded jobs."""
        return JobList(self.database)

    @property
    def worker_list(self) -> WorkerList:
        """The recorded workers."""
        return WorkerList(self.database)

    @property
    def deliveries(self) -> DeliveryList:
        """The recorded deliveries."""
        return DeliveryList(self.database)

    def send(self, *folders: Path, title: str = "CT1") -> None:
        """Sends all files of some folders, in one association."""
        sender = storescu(self.settings.receive.port, folders, "--aetitle", title)
        said, _ = sender.communicate()
        assert sender.returncode == 0, said

    def job_of(self, study_instance_uid: str) -> Job:
        """Waits for the only job of a study, and returns it."""
        wait_until(lambda: bool(self.jobs.of_study(study_instance_uid)), "a job")
        (job,) = self.jobs.of_study(study_instance_uid)
        return job

    def wait_for(self, job: Job, state: JobState) -> Job:
        """Waits until a job is in a state, and returns it."""

        def is_there() -> bool:
            found = self.jobs.job(job.job_id)
            return found is not None and found.state is state

        wait_until(is_there, f"a job that is {state}")
        found = self.jobs.job(job.job_id)
        assert found
        return found

    def wait_until_delivered(self, job: Job) -> None:
        """Waits until a job is segmented and all its results are delivered."""
        self.wait_for(job, JobState.SEGMENTED)
        self.wait_for_deliveries(job)

    def wait_for_deliveries(self, job: Job) -> None:
        """Waits until all deliveries of a job are done."""
        wait_until(
            lambda: all(
                delivery.state is DeliveryState.DELIVERED
                for delivery in self.deliveries.of_job(job.job_id)
            ),
            "delivered",
        )

    def let_senders_be_silent(self) -> None:
        """Ends all interrupted transfers, so that their studies are complete at once."""
        ends = self.database.insert_or(TRANSFERS)
        whole = ends.on_conflict_do_update(
            index_elements=[TRANSFERS.c.transfer], set_={"is_whole": True}
        )
        with self.database.transaction() as connection:
            for name in connection.execute(select(INSTANCES.c.transfer).distinct()).scalars():
                row = {"transfer": name, "ended_at": time.time(), "is_whole": True}
                connection.execute(whole.values(row))

    def pid(self, role: str) -> int | None:
        """Returns the process ID of a role; None while there is none."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and _session(folder) == self.process.pid:
                words = _words(folder)
                if "gateway" in words and role in words:
                    return int(folder.name)
        return None

    @property
    def is_receiving(self) -> bool:
        """Whether it listens for senders."""
        return _listens(self.settings.receive.port)

    def kill(self, role: str) -> None:
        """Kills one of its processes, as kill -9 or a lack of memory does."""
        pid = self.pid(role)
        assert pid, f"there is no process that does {role}"
        os.kill(pid, signal.SIGKILL)

    @contextmanager
    def stopped(self, role: str) -> Iterator[None]:
        """Stops one of its processes, outside its transactions, while the block runs."""
        pid = self.pid(role)
        assert pid, f"there is no process that does {role}"

        def is_stopped_outside_transactions() -> bool:
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda: set(_thread_states(pid)) == {"T"}, "stopped")
            files = [self.settings.storage_folder / name for name in (LEDGER_FILE, QUEUE_FILE)]
            if all(_can_be_written(file) for file in files):
                return True
            os.kill(pid, signal.SIGCONT)
            return False

        wait_until(is_stopped_outside_transactions, "stopped outside its transactions")
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def kill_all(self) -> None:
        """Kills all processes at once, as a power failure does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def start(self, hours_later: float = 0.0, *, is_receiving: bool = True) -> None:
        """Starts it again with clocks moved ahead by some hours.

        Args:
            hours_later: How far the clocks are moved.
            is_receiving: Whether to wait until it listens; a drained gateway does not.
        """
        clock = self.file.with_name("clock")
        self.process = _start(self.file, _later(clock, hours_later) if hours_later else {})
        self.wait_until_up(is_receiving=is_receiving)

    def stop(self) -> int:
        """Stops it as systemd does; returns its exit status."""
        self.process.terminate()
        return self.process.wait(WAIT_SECONDS)

    def wait_until_up(self, *, is_receiving: bool = True) -> None:
        """Waits until it listens and its worker is ready."""

        def seen() -> list[float]:
            return [worker.seen_at for worker in self.worker_list.workers()]

        before = seen()

        def is_up() -> bool:
            assert self.process.poll() is None, "the gateway has ended"
            return (self.is_receiving or not is_receiving) and seen() not in ([], before)

        wait_until(is_up, "up")


@contextmanager
def running_service(
    folder: Path,
    result_kinds: Sequence[str] | None = None,
    **sections: Mapping[str, Any] | list[Any] | str,
) -> Iterator[Service]:
    """Yields a gateway in a folder, with the given settings and short waits.

    Whatever the verdict on results, they are delivered, but for `work={"settings_file": None}`.

    Args:
        folder: Holds its settings and its storage folder.
        result_kinds: The kinds of results that it makes; None: those of app.yaml.
        **sections: Sections of gateway.yaml.
    """
    settings_file = folder / "app.yaml"
    kinds = {} if result_kinds is None else {"results": {"kinds": [*result_kinds]}}
    write_overlay(DEFAULT_SETTINGS, _DELIVER_ALL | kinds, "auto", settings_file)
    receive = {"port": free_port(), "processes": 1, "keep_free_gb": 0.1, **_PATIENT}
    web = {"port": free_port()}
    complete = {"quiet_seconds": QUIET_SECONDS, "quiet_unreleased_seconds": NEVER_SECONDS}
    document: dict[str, Any] = {
        "storage_folder": str(folder / "storage"),
        "receive": receive,
        "complete": complete,
        "web": web,
        "work": {"settings_file": str(settings_file)},
        "supervise": {"hang_seconds": NEVER_SECONDS},
    }
    for name, section in sections.items():
        present = document.get(name)
        document[name] = {**present, **section} if isinstance(present, dict) else section  # type: ignore[dict-item]
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(document))
    settings = load_gateway_settings(file)
    with open_database(settings) as database:
        service = Service(file, settings, database, _start(file))
        try:
            service.wait_until_up()
            yield service
        finally:
            if service.process.poll() is None:
                service.kill_all()


def _start(
    file: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "cli", "serve", str(file)]
    return subprocess.Popen(command, start_new_session=True, env={**os.environ, **environment})


def _later(folder: Path, hours: float) -> dict[str, str]:
    """Returns the environment that moves the clock of Python processes.

    libfaketime breaks their sleep.
    """
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_CLOCK.format(seconds=hours * SECONDS_PER_HOUR))
    return {"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}


def _listens(port: int) -> bool:
    line = f":{port:04X} "
    return any(
        line in row and " 0A " in row for row in Path("/proc/net/tcp").read_text().splitlines()
    )


def _thread_states(pid: int) -> Iterator[str]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield (task / "stat").read_text().rpartition(")")[2].split()[0]


def _can_be_written(file: Path) -> bool:
    """Returns whether no process holds a lock of an SQLite file for longer than a moment."""
    with closing(sqlite3.connect(file, timeout=2)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return False
        connection.rollback()
    return True


def _session(folder: Path) -> int:
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0
    return int(fields[3])


def _words(folder: Path) -> list[str]:
    try:
        return (folder / "cmdline").read_text().split("\0")
    except OSError:
        return []

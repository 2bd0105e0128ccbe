"""Runs the gateway as a whole: starts its processes again when they end, hang or grow too large.

The processes share only the database and the storage folder. One that is killed or hangs does not
affect the others.
"""

import socket
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event

from gateway.alarm.alarm_watch import AlarmWatch
from gateway.config import GatewaySettings, systemd_socket
from gateway.heartbeat import HeartbeatTable, ProcessState, UnpausedClock
from gateway.store.database import open_database
from gateway.store.workers import WorkerList
from gateway.supervise.job_watch import JobWatch
from gateway.supervise.process_info import machine_bytes
from gateway.supervise.supervised_process import BYTES_PER_GB, Limits, SupervisedProcess

# States for systemd (sd_notify(3)).
READY = "READY=1"
ALIVE = "WATCHDOG=1"
STOPPING = "STOPPING=1"
LOOK_SECONDS = 0.2
# In addition to the time that a worker may take for its job.
STOP_SECONDS = 15.0
SUPERVISOR = "supervisor"
RECEIVE = "receive"
WORK = "work"
_SUPERVISOR_SLOT = 0
# The share of the machine's memory that a worker may use without supervise.memory.work_gb.
_WORKER_SHARE = 0.9


def notify_systemd(state: str) -> None:
    """Sends a state to systemd, if systemd listens for it.

    Args:
        state: One of the constants above, or another of sd_notify(3).
    """
    address = systemd_socket()
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.sendto(state.encode(), address)


def roles(
    settings: GatewaySettings, machine: str, *, only_work: bool = False
) -> Sequence[Sequence[str]]:
    """Returns the arguments of `python -m gateway` for each process of this machine.

    Args:
        settings: Of the gateway.
        machine: Names this machine.
        only_work: Whether another machine receives and delivers.
    """
    workers = [
        [WORK, "--worker", f"{machine}-{number}", "--device", device]
        for number, device in enumerate(settings.work.devices, start=1)
    ]
    return workers if only_work else [[RECEIVE], ["dispatch"], ["web"], *workers]


def serve(
    settings: GatewaySettings,
    settings_file: Path | None,
    roles: Sequence[Sequence[str]],
    stop: Event,
    alarms: AlarmWatch | None = None,
) -> None:
    """Runs the processes of the gateway until it is told to stop.

    Args:
        settings: Of the gateway.
        settings_file: The file of the settings; None: the defaults.
        roles: Arguments of `python -m gateway`, one list a process.
        stop: Set from elsewhere.
        alarms: Notes each restart of a process; None: nothing does.

    Raises:
        ResourceError: The database can't be opened.
        TotalMapError: A process can't run with these settings; its log says why.
    """
    config = ["--config", str(settings_file)] if settings_file else []
    table = HeartbeatTable.create([SUPERVISOR, *(role[0] for role in roles)])
    processes = [
        SupervisedProcess(
            [*role, *config],
            _limits(settings, role[0]),
            table,
            slot,
            partial(alarms.restarts.note, role[0]) if alarms else lambda: None,
        )
        for slot, role in enumerate(roles, start=_SUPERVISOR_SLOT + 1)
    ]
    workers = {
        role[2]: process for role, process in zip(roles, processes, strict=True) if role[0] == WORK
    }
    with open_database(settings) as database:
        if any(role[0] == RECEIVE for role in roles):
            # A drain ends with the gateway that was drained.
            WorkerList(database).drain(is_draining=False)
        job_watch = JobWatch(database, settings.work, list(workers))
        with job_watch.looking():
            try:
                _supervise(processes, workers, job_watch, table, stop)
            finally:
                _end(processes, settings.work.stop_seconds + STOP_SECONDS)


def _supervise(
    processes: Sequence[SupervisedProcess],
    workers: "dict[str, SupervisedProcess]",
    job_watch: JobWatch,
    table: HeartbeatTable,
    stop: Event,
) -> None:
    """Keeps the processes running until the gateway is told to stop, or is drained."""
    clock = UnpausedClock()
    names = {process: name for name, process in workers.items()}
    is_first = True
    while not stop.wait(LOOK_SECONDS) and not job_watch.is_drained:
        now = clock.now()
        table.beat(_SUPERVISOR_SLOT, ProcessState.RUNNING)
        overdue = job_watch.overdue
        for process in processes:
            if job_watch.is_draining and process.role == RECEIVE:
                process.tell_to_stop()
                continue
            loss = process.keep_up(now)
            name = names.get(process, "")
            if loss is None and name in overdue and process.is_running:
                loss = process.end(overdue[name])
            if loss is not None and name:
                process.start_after(job_watch.settle(name, loss))
        notify_systemd(READY if is_first else ALIVE)
        is_first = False


def _end(processes: Collection[SupervisedProcess], patience_seconds: float) -> None:
    """Tells all processes to stop, and kills those that do not stop in time."""
    notify_systemd(STOPPING)
    for process in processes:
        process.tell_to_stop()
    deadline = time.monotonic() + patience_seconds
    while not all(process.has_ended() for process in processes):
        notify_systemd(ALIVE)
        if time.monotonic() > deadline:
            for process in processes:
                if not process.has_ended():
                    process.kill()
            return
        time.sleep(LOOK_SECONDS / 4)


def _limits(settings: GatewaySettings, role: str) -> Limits:
    memory = settings.supervise.memory
    gigabytes = {
        RECEIVE: memory.receive_gb,
        "dispatch": memory.dispatch_gb,
        "web": memory.web_gb,
        WORK: memory.work_gb or _WORKER_SHARE * machine_bytes() / BYTES_PER_GB,
    }
    return Limits(
        hang_seconds=settings.supervise.hang_seconds,
        start_seconds=max(settings.supervise.start_seconds, settings.supervise.hang_seconds),
        memory_bytes=gigabytes[role] * BYTES_PER_GB,
    )

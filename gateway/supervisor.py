"""Runs the gateway as a whole: starts its processes again when they end, hang or grow too large.

The processes share only the database and the storage folder. One that is killed or hangs does not
affect the others.
"""

import socket
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Event

from gateway.alarm.alarm_watch import AlarmWatch
from gateway.config import GatewaySettings, systemd_socket
from gateway.config.inherited_settings import InheritedSettings
from gateway.heartbeat import HeartbeatTable, ProcessState, UnpausedClock
from gateway.store.database import open_database
from gateway.supervise.job_watch import JobWatch
from gateway.supervise.settings_reload import SettingsChange, SettingsReload
from gateway.supervise.supervised_process import BYTES_PER_GB, Limits, SupervisedProcess
from totalmap.machine_limits import machine_bytes

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
    reload: SettingsReload,
    roles: Sequence[Sequence[str]],
    stop: Event,
    alarms: AlarmWatch | None = None,
) -> None:
    """Runs the processes of the gateway until it is told to stop, or is drained.

    Args:
        reload: Has the settings of the gateway, and reads them again when it is asked to.
        roles: Arguments of `python -m gateway`, one list a process.
        stop: Set from elsewhere.
        alarms: Notes each restart of a process; None: nothing does.

    Raises:
        ResourceError: The database can't be opened.
        TotalMapError: A process can't run with these settings; its log says why.
    """
    table = HeartbeatTable.create([SUPERVISOR, *(role[0] for role in roles)])
    settings = InheritedSettings(reload.settings)
    processes = [
        SupervisedProcess(
            role,
            _limits(reload.settings, role[0]),
            table,
            slot,
            partial(alarms.restarts.note, role[0]) if alarms else lambda: None,
        )
        for slot, role in enumerate(roles, start=_SUPERVISOR_SLOT + 1)
    ]
    _use(settings, processes)
    workers = {
        role[2]: process for role, process in zip(roles, processes, strict=True) if role[0] == WORK
    }
    with open_database(reload.settings) as database:
        job_watch = JobWatch(database, reload.settings.work, list(workers))
        gateway = _Gateway(processes, workers, job_watch, table, settings, alarms)
        with job_watch.looking(), reload.reading(database):
            try:
                gateway.supervise(reload, stop)
            finally:
                _end(processes, gateway.settings.work.stop_seconds + STOP_SECONDS)


class _Gateway:
    """The processes of the gateway, with the settings that they use."""

    def __init__(
        self,
        processes: Sequence[SupervisedProcess],
        workers: Mapping[str, SupervisedProcess],
        job_watch: JobWatch,
        table: HeartbeatTable,
        inherited: InheritedSettings,
        alarms: AlarmWatch | None,
    ) -> None:
        self._processes = processes
        self._workers = workers
        self._names = {process: name for name, process in workers.items()}
        self._job_watch = job_watch
        self._table = table
        self._inherited = inherited
        self._alarms = alarms

    @property
    def settings(self) -> GatewaySettings:
        """The settings that processes use which are started now."""
        return self._inherited.settings

    def supervise(self, reload: SettingsReload, stop: Event) -> None:
        """Keeps the processes running until the gateway is told to stop, or is drained."""
        clock, is_first = UnpausedClock(), True
        while not stop.wait(LOOK_SECONDS) and not self._job_watch.is_drained:
            now = clock.now()
            self._table.beat(_SUPERVISOR_SLOT, ProcessState.RUNNING)
            change = reload.take()
            if change is not None:
                self._apply(change)
            for process in self._processes:
                self._keep_up(process, now)
            notify_systemd(READY if is_first else ALIVE)
            is_first = False

    def _keep_up(self, process: SupervisedProcess, now: float) -> None:
        if self._job_watch.is_draining and process.role == RECEIVE:
            process.keep_stopped()
            return
        overdue, name = self._job_watch.overdue, self._names.get(process, "")
        loss = process.keep_up(now)
        if loss is None and name in overdue and process.is_running:
            loss = process.end(overdue[name])
        if loss is not None and name:
            process.start_after(self._job_watch.settle(name, loss))

    def _apply(self, change: SettingsChange) -> None:
        """Lets the processes that a change concerns end when their work is done, and start anew."""
        before, self._inherited = self._inherited, InheritedSettings(change.settings)
        _use(self._inherited, self._processes)
        before.close()
        self._job_watch.use(change.settings.work)
        if self._alarms is not None:
            self._alarms.use(change.settings)
        for process in self._processes:
            if change.sections & sections_of(process.role):
                process.replace()


def sections_of(role: str) -> frozenset[str]:
    """Returns the sections of gateway.yaml that a process uses."""
    everything = frozenset(GatewaySettings.model_fields)
    return {
        RECEIVE: frozenset({"receive", "destinations", "deliver", "supervise"}),
        "dispatch": everything - {"web"},
        "web": everything,
        # A job carries the settings of its rule.
        WORK: frozenset({"work", "supervise"}),
    }[role]


def _use(settings: InheritedSettings, processes: Sequence[SupervisedProcess]) -> None:
    for process in processes:
        process.use(settings, _limits(settings.settings, process.role))


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

"""Watches for faults and sends alarms about them, in threads of the supervisor.

A thread looks at the ledger, the disk and the destinations. Each way of sending has a thread of its
own, so that a mail server that hangs delays nothing else. A further thread notices when the ledger
or the disk keeps the first one waiting.
"""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock, Thread

from gateway.alarm.fault_detection import FaultDetector
from gateway.alarm.ledger_failure_alarm import LedgerAlarm
from gateway.alarm.message_channels import Way, sent_kinds, ways_of
from gateway.alarm.message_sending import SECONDS_PER_DAY, MessageSender
from gateway.alarm.message_text import MessageWriter
from gateway.alarm.restart_counter import RestartCounter
from gateway.config import AlarmKind, GatewaySettings
from gateway.heartbeat import Silence, UnpausedClock
from gateway.store.alarm_messages import AlarmMessages
from gateway.store.alarms import AlarmList
from gateway.store.database import Database, open_database
from gateway.store.file_storage import Storage
from gateway.store.ledger_damage import DamagedLedger
from totalmap.errors import ConfigError, ResourceError, TotalMapError, internal_error
from totalmap.log import get_logger

LOOK_SECONDS = 5.0
_SEND_SECONDS = 2.0
# A ledger or a disk that does not answer for so long fails.
PATIENCE_SECONDS = 60.0
# How long alarms that have ended, and their messages, stay on record.
KEEP_DAYS = 90.0
_SECONDS_PER_MINUTE = 60.0
_DAMAGED = "it is damaged"
_SILENT = "it, or the storage folder, does not answer"
# How long an end of the gateway waits for a message that is being sent.
_STOP_SECONDS = 2.0
# The same if the message says that the ledger is damaged.
_LAST_WORDS_SECONDS = 15.0

log = get_logger()


@contextmanager
def sending_alarms(
    settings: GatewaySettings,
    machine: str,
    *,
    only_work: bool = False,
    look_seconds: float = LOOK_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Iterator["AlarmWatch"]:
    """Sends alarms while the block runs; yields what notes restarts and takes new settings.

    If the block ends with a DamagedLedger, that is told before the error goes on.

    Args:
        settings: Of the gateway.
        machine: The unique name of this machine.
        only_work: Whether another machine sends the alarms: this one only adds its restarts.
        look_seconds: The time between two looks.
        patience_seconds: How long the ledger and the disk may not answer.

    Raises:
        ConfigError: A file of authorities, of a password or of a secret can't be used.
    """
    watch = AlarmWatch(settings, machine, only_work, look_seconds, patience_seconds)
    watch.start()
    try:
        yield watch
    except DamagedLedger:
        watch.tell_damage()
        raise
    finally:
        watch.end()


@dataclass(frozen=True, slots=True)
class _Plan:
    """Settings, with what is made of them.

    Attributes:
        ways: The ways of sending, by name.
    """

    settings: GatewaySettings
    ways: Mapping[str, Way]
    writer: MessageWriter


class AlarmWatch:
    """The threads that look for faults, and those that send messages.

    Attributes:
        restarts: Where each restart of a process is noted.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        machine: str,
        only_work: bool,
        look_seconds: float,
        patience_seconds: float,
    ) -> None:
        self.restarts = RestartCounter()
        self._machine = machine
        self._only_work = only_work
        self._look_seconds = look_seconds
        self._patience_seconds = patience_seconds
        self._plan = self._planned(settings)
        self._stop = Event()
        self._threads: list[Thread] = []
        self._database: Database | None = None
        self._opening = Lock()
        self._detector: FaultDetector | None = None
        self._clock = UnpausedClock(2 * look_seconds)
        self._answers = 0
        self._silence = Silence()
        self._senders: dict[str, MessageSender] = {}
        self._sending: set[str] = set()
        self._ledger_alarm = LedgerAlarm(
            [*self._plan.ways.values()],
            self._plan.writer,
            settings.alarms,
            settings.storage_folder,
            self._stop,
        )

    def start(self) -> None:
        """Starts all threads; none of them keeps the process from ending."""
        self._run("alarm faults", self._look, self._look_seconds)
        self._run("alarm ledger", self._look_at_silence, self._look_seconds)
        self._start_sending(self._plan)

    def use(self, settings: GatewaySettings) -> None:
        """Goes on with other settings, from the next look and the next message on.

        If a file of authorities, of a password or of a secret can't be used, which the check before
        a reload names, alarms go on as before, and the log says why.

        Args:
            settings: Of the same gateway: its storage folder and its ledger stay.
        """
        try:
            plan = self._planned(settings)
        except ConfigError as error:
            log.error("alarms_keep_their_settings", reason=str(error))
            return
        self._ledger_alarm.use([*plan.ways.values()], plan.writer, settings.alarms)
        self._plan = plan
        self._start_sending(plan)

    def tell_damage(self) -> None:
        """Tells that the ledger is damaged, and waits some seconds until that is told."""
        self._ledger_alarm.fails(_DAMAGED)
        self._ledger_alarm.wait_until_told(_LAST_WORDS_SECONDS)

    def end(self) -> None:
        """Ends the threads; a message that is being sent gets a moment to be taken."""
        self._stop.set()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._database is not None and not any(map(Thread.is_alive, self._threads)):
            self._database.close()

    def _planned(self, settings: GatewaySettings) -> _Plan:
        host = socket.gethostname()
        ways = [] if self._only_work else ways_of(settings.alarms, host)
        return _Plan(settings, {way.name: way for way in ways}, MessageWriter(settings, host))

    def _start_sending(self, plan: _Plan) -> None:
        """Starts a thread for each way that has none."""
        seconds = min(_SEND_SECONDS, self._look_seconds)
        for name in plan.ways:
            if name not in self._sending:
                self._sending.add(name)
                self._run(f"alarm {name}", partial(self._send, name), seconds)

    def _run(self, name: str, act: Callable[[], None], wait_seconds: float) -> None:
        def act_again_and_again() -> None:
            while not self._stop.is_set():
                try:
                    act()
                except DamagedLedger:
                    self._ledger_alarm.fails(_DAMAGED)
                except (ResourceError, OSError):
                    pass  # the thread that looks at the ledger says so if it lasts
                except Exception as error:
                    # An alarm must not be the end of all others; its message may quote values.
                    is_ours = isinstance(error, TotalMapError)
                    log.error(
                        "alarms_fail", message=str(error if is_ours else internal_error(error))
                    )
                self._stop.wait(wait_seconds)

        thread = Thread(target=act_again_and_again, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _look(self) -> None:
        """Compares the faults that exist now with the alarms on record."""
        plan, database = self._plan, self._opened()
        alarms = AlarmList(database)
        restarts = self.restarts.at_least(plan.settings.alarms.restarts)
        own = f"{self._machine} "
        alarms.update(
            AlarmKind.PROCESS_RESTARTS,
            {f"{own}{role}": f"{n} times in ten minutes" for role, n in restarts.items()},
            own,
        )
        if not self._only_work:
            self._look_at_everything(plan, database, alarms)
        self._answers += 1
        self._ledger_alarm.works()

    def _look_at_everything(self, plan: _Plan, database: Database, alarms: AlarmList) -> None:
        if self._detector is None:
            storage = Storage(plan.settings.storage_folder)
            self._detector = FaultDetector(plan.settings, database, storage)
        alarms.follow_events()
        for kind, faults in self._detector.find(plan.settings).items():
            alarms.update(kind, faults)
        messages = AlarmMessages(database)
        messages.notice({name: sent_kinds(way) for name, way in plan.ways.items()})
        for name in plan.ways:
            messages.gather(name, plan.settings.alarms.digest_minutes * _SECONDS_PER_MINUTE)
        messages.forget(time.time() - KEEP_DAYS * SECONDS_PER_DAY)

    def _look_at_silence(self) -> None:
        """Notices that the thread that looks for faults waits for the ledger or the disk."""
        # A start may change the layout of a large ledger first.
        start_seconds = 0.0 if self._answers else self._plan.settings.supervise.start_seconds
        silent = self._silence.seconds(self._answers, self._clock.now())
        if silent > self._patience_seconds + start_seconds:
            self._ledger_alarm.fails(_SILENT)

    def _send(self, name: str) -> None:
        plan = self._plan
        if name not in plan.ways:  # the settings no longer name it
            return
        if name not in self._senders:
            self._senders[name] = MessageSender(AlarmMessages(self._opened()))
        self._senders[name].send_due(plan.ways[name], plan.writer, plan.settings.alarms)

    def _opened(self) -> Database:
        """Returns the database, which is opened when it answers first.

        Raises:
            ResourceError: It does not answer.
            DamagedLedger: It is damaged.
        """
        with self._opening:
            if self._database is None:
                self._database = open_database(self._plan.settings)
            return self._database

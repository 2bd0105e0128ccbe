"""Reads gateway.yaml again while the gateway runs: the file is accepted or refused as a whole.

A thread of its own does this, because to check weights or a container image may take long. The
supervisor takes the accepted settings when it is ready.
"""

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

from gateway.config import GatewaySettings, load_gateway_settings
from gateway.config.settings_changes import fingerprints, fixed_changes
from gateway.store.database import Database
from gateway.store.reload_events import record_reload
from totalmap.errors import ConfigError, ResourceError, TotalMapError, internal_error
from totalmap.log import get_logger

RELOAD_SIGNAL = signal.SIGHUP
# A reload that takes longer is not waited for when the gateway ends.
END_SECONDS = 1.0

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """Settings that were accepted.

    Attributes:
        sections: The sections that differ from the settings before.
    """

    settings: GatewaySettings
    sections: frozenset[str]


class SettingsReload:
    """Reads the settings of a running gateway again.

    Attributes:
        settings: The settings that were accepted last.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        file: Path | None,
        machine: str,
        faults: Callable[[GatewaySettings], Iterable[str]],
    ) -> None:
        """Reads nothing yet.

        Args:
            settings: The present settings.
            file: The file to read; None: the gateway was started with the defaults.
            machine: The name of this machine, for the record.
            faults: Yields why processes could not run with other settings.
        """
        self.settings = settings
        self._file = file
        self._machine = machine
        self._faults = faults
        self._fingerprints = fingerprints(settings)
        self._asked = Event()
        self._is_over = False
        self._changes: SimpleQueue[SettingsChange] = SimpleQueue()

    def ask(self) -> None:
        """Asks for the file to be read again; may be called by a signal handler."""
        self._asked.set()

    def take(self) -> SettingsChange | None:
        """Returns the next settings that were accepted; None: there are none."""
        with suppress(Empty):
            return self._changes.get_nowait()
        return None

    @contextmanager
    def reading(self, database: Database) -> Iterator[None]:
        """Reads the file again whenever it is asked to, by a signal or `ask`, during the block.

        Only for the main thread of a process.
        """
        before = signal.signal(RELOAD_SIGNAL, lambda *_: self.ask())
        thread = Thread(target=self._read, args=[database], name="settings", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over = True
            self.ask()
            thread.join(END_SECONDS)
            signal.signal(RELOAD_SIGNAL, before)

    def _read(self, database: Database) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._is_over:
                return
            self._reload(database)

    def _reload(self, database: Database) -> None:
        try:
            settings = self._accepted()
        except TotalMapError as error:
            self._refuse(database, error)
            return
        except Exception as error:  # its message may quote a value of the file
            self._refuse(database, internal_error(error))
            return
        found = fingerprints(settings)
        sections = _differences(self._fingerprints, found)
        detail = f"changed: {', '.join(sorted(sections))}" if sections else "nothing has changed"
        log.info("settings_reloaded", changed=sorted(sections))
        self.settings, self._fingerprints = settings, found
        self._changes.put(SettingsChange(settings=settings, sections=sections))
        self._record(database, detail, is_accepted=True)

    def _accepted(self) -> GatewaySettings:
        """Returns the settings of the file.

        Raises:
            TotalMapError: They are wrong, can't be used without a restart, or processes could not
                run with them.
        """
        if self._file is None:
            raise ConfigError(
                "the gateway was started without a settings file: there is nothing to reload"
            )
        settings = load_gateway_settings(self._file)
        fixed = fixed_changes(self.settings, settings)
        if fixed:
            raise ConfigError(
                f"{', '.join(fixed)} can't be changed while the gateway runs: restart it"
            )
        for fault in self._faults(settings):
            raise ConfigError(fault)
        return settings

    def _refuse(self, database: Database, error: TotalMapError) -> None:
        log.error("settings_not_reloaded", reason=str(error))
        self._record(database, str(error), is_accepted=False)

    def _record(self, database: Database, detail: str, *, is_accepted: bool) -> None:
        try:
            record_reload(database, self._machine, detail, is_accepted=is_accepted)
        except ResourceError as error:
            log.warning("reload_not_recorded", reason=str(error))


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for name, value in after.items() if before.get(name) != value)

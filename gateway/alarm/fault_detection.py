"""Finds the faults that exist now, of the kinds that no event announces."""

from collections.abc import Mapping

from gateway.certificate_expiry import expiring_certificates
from gateway.config import AlarmKind, GatewaySettings
from gateway.lost_worker_detection import LostWorkers
from gateway.store.clock_record import ClockRecord
from gateway.store.conflicts import ConflictList
from gateway.store.database import Database
from gateway.store.destination_states import DestinationStates
from gateway.store.file_storage import BYTES_PER_GB, Storage
from gateway.store.workers import WorkerList

# The alarm about the disk ends when it has so much more than the limit, so that it does not begin
# and end with each study.
_ENOUGH = 1.1
_STORAGE = "the disk of the storage folder"

# Subjects, each with a detail or None.
Faults = Mapping[str, str | None]


class FaultDetector:
    """Finds faults of destinations, disk, workers, certificates, clock, and held studies."""

    def __init__(self, settings: GatewaySettings, database: Database, storage: Storage) -> None:
        """Looks at nothing yet.

        Args:
            settings: Of the gateway, with the time in which a worker starts.
            database: The database of the ledger.
            storage: The storage whose disk is looked at.
        """
        self._storage = storage
        self._worker_list = WorkerList(database)
        # A worker that starts may load its networks first.
        self._lost_workers = LostWorkers(lost_seconds=settings.supervise.start_seconds)
        self._destination_states = DestinationStates(database)
        self._conflicts = ConflictList(database)
        self._clock = ClockRecord(database)
        self._is_short = False

    def find(self, settings: GatewaySettings) -> Mapping[AlarmKind, Faults]:
        """Returns the faults of each kind; has to be called every few seconds.

        Args:
            settings: Of the gateway, as they are now.

        Raises:
            ResourceError: The database fails.
            OSError: The disk does not answer.
        """
        return {
            AlarmKind.STUDY_HELD: self._held_studies(),
            AlarmKind.DESTINATION_AWAY: self._destinations(settings),
            AlarmKind.DISK_SHORT: self._disk(settings),
            AlarmKind.WORKER_LOST: self._workers(),
            AlarmKind.CERTIFICATE_EXPIRES: self._certificates(settings),
            AlarmKind.CLOCK_JUMPED: self._jumps(),
        }

    def _held_studies(self) -> Faults:
        return {str(conflict.conflict_id): None for conflict in self._conflicts.undecided()}

    def _destinations(self, settings: GatewaySettings) -> Faults:
        names = {destination.name for destination in settings.destinations}
        states = self._destination_states.all()
        return {name: None for name in sorted(names & set(states)) if states[name].is_away}

    def _disk(self, settings: GatewaySettings) -> Faults:
        limit_gb = settings.alarms.disk_gb or 2 * settings.receive.keep_free_gb
        free_gb = self._storage.free_bytes() / BYTES_PER_GB
        self._is_short = free_gb < limit_gb * (_ENOUGH if self._is_short else 1.0)
        return {_STORAGE: f"{free_gb:.1f} GB are free"} if self._is_short else {}

    def _workers(self) -> Faults:
        workers = self._worker_list.workers()
        return dict.fromkeys(sorted(self._lost_workers.among(workers)))

    def _certificates(self, settings: GatewaySettings) -> Faults:
        """Returns the settings whose certificates expire; their files name no patient."""
        days = settings.alarms.certificate_days
        found = expiring_certificates(settings, days=days)
        return {certificate.setting: None for certificate in found}

    def _jumps(self) -> Faults:
        reading = self._clock.last()
        if reading is None or reading.jump_seconds is None:
            return {}
        return {"the clock of the machine": f"{reading.jump_seconds:+.0f} s"}

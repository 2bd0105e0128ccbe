"""Delivers results to their destinations, and tries again for days where that fails."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gateway.commitment.destination_requests import (
    Report,
    new_transaction,
    request_commitment,
    transaction_of,
)
from gateway.config import DestinationSection, GatewaySettings, retry_seconds
from gateway.deliver.decision_files import DecisionFiles, JobResults
from gateway.deliver.send_dicom import send_dicom
from gateway.deliver.send_stow import send_stow
from gateway.store.database import Database
from gateway.store.decisions import DecisionList
from gateway.store.deliveries import Delivery, DeliveryList, DeliveryState
from gateway.store.file_storage import SETTINGS_NAME, Storage
from gateway.store.job import KeptResult
from gateway.store.jobs import JobList
from totalmap.errors import ResourceError, internal_error
from totalmap.finding import REJECTION_NOTE
from totalmap.log import get_logger

SECONDS_PER_DAY = 86_400
# Most archives report within seconds, some only after they have written to tape.
ASK_AGAIN_SECONDS = 60.0
# In the folder of a job: notes that reject its results.
NOTES_NAME = "notes"
_DIGEST_CHARACTERS = 12

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverer:
    """Delivers the results of jobs on record, and what people decide about them."""

    settings: GatewaySettings
    storage: Storage
    jobs: JobList
    deliveries: DeliveryList
    decision_files: DecisionFiles

    @classmethod
    def open(cls, settings: GatewaySettings, storage: Storage, database: Database) -> Self:
        """Returns a deliverer of what a database has on record."""
        return cls(
            settings=settings,
            storage=storage,
            jobs=JobList(database),
            deliveries=DeliveryList(database),
            decision_files=DecisionFiles(storage, DecisionList(database)),
        )

    def deliver(self, job_id: str, destination: str, run: int, decision_id: int = 0) -> None:
        """Runs the next step of a delivery from the queue; does nothing if there is none.

        First the results are sent. When that is recorded, the destination is asked for storage
        commitment, if its settings say so. A crash in between loses neither step.

        Raises:
            ResourceError: The database fails; the delivery is queued again by the next sweep.
        """
        delivery = self.deliveries.delivery(job_id, destination, decision_id)
        if delivery is None or delivery.run != run:
            return
        if delivery.state is DeliveryState.WAITING:
            if not delivery.is_held:  # it is queued again when a user has decided
                self._deliver(delivery)
        elif delivery.is_asked:
            self._ask(delivery)

    def take_report(self, report: Report) -> bool:
        """Stores the report of a destination on storage commitment.

        If it has lost an instance, everything is delivered to it again.

        Returns:
            Whether it was asked for it.

        Raises:
            ResourceError: The database fails.
        """
        delivery = self.deliveries.of_transaction(transaction_of(report))
        while (
            delivery is not None
            and delivery.state is DeliveryState.DELIVERED
            and not self._settle(delivery, report)
        ):  # it has moved on since it was read
            delivery = self.deliveries.of_transaction(transaction_of(report))
        return delivery is not None

    def _deliver(self, delivery: Delivery) -> None:
        try:
            section = self._section(delivery)
            files = self._files(delivery, section)
            if files:
                send(section, files)
        except Exception as error:  # a delivery never fails without a reason
            self._fail(delivery, _reason(error))
            return
        is_to_commit = bool(files) and section.asks_for_commitment
        self.deliveries.delivered(delivery, new_transaction() if is_to_commit else None)
        log.info(
            "delivered",
            job=delivery.job_id,
            destination=delivery.destination,
            instances=len(files),
        )

    def _ask(self, delivery: Delivery) -> None:
        reason = None
        try:
            section = self._section(delivery)
            if section.dicom is None or not section.asks_for_commitment:
                self.deliveries.stop_asking(delivery, "it is not asked for commitment any more")
                return
            files = self._files(delivery, section)
            transaction = str(delivery.transaction_uid)
            request_commitment(section.dicom, files, transaction, self.take_report)
        except Exception as error:  # a delivery never fails without a reason
            reason = _reason(error)
            log.warning("commitment_not_asked", destination=delivery.destination, reason=reason)
        self._ask_later(delivery, reason)

    def _settle(self, delivery: Delivery, report: Report) -> bool:
        log.info("commitment_reported", destination=delivery.destination, said=str(report))
        if not report.failures:
            return self.deliveries.commit(delivery)
        if report.is_something_lost:
            return self._fail(delivery, str(report))
        return self._ask_later(delivery, str(report))

    def _section(self, delivery: Delivery) -> DestinationSection:
        section = self.settings.destination(delivery.destination)
        if section is None:
            job = self.jobs.job(delivery.job_id)
            raise ResourceError(
                f"no destination is called {delivery.destination}, or has the AE title of "
                f"the sender, {job.sender if job else 'which is not known'}"
            )
        return section

    def _files(self, delivery: Delivery, section: DestinationSection) -> Sequence[Path]:
        """Returns the files for a destination: results, or what rejects or decides about them."""
        results = self._results(delivery.job_id, section)
        output = self.storage.output_folder(delivery.job_id)
        files = [output / result.path for result in results.wanted]
        missing = sum(not path.exists() for path in files)
        if missing:
            raise ResourceError(f"{missing} of {len(files)} results are not on the disk any more")
        if delivery.decision_id:
            return self.decision_files.of(delivery, results)
        if delivery.is_rejection and files:
            others = self.deliveries.of_job(delivery.job_id)
            decided = self.decision_files.delivered_before(others, delivery.destination, results)
            return [self._rejection(delivery, [*files, *decided])]
        return files

    def _results(self, job_id: str, section: DestinationSection) -> JobResults:
        """Returns the results of a job, and those among them that a destination wants."""
        every = [result for result in self.jobs.results(job_id) if result.sop_instance_uid]
        wanted: Sequence[KeptResult] = every
        if section.kinds:
            # Rejected results are never sent without the note that rejects them.
            note = [result for result in every if result.kind == REJECTION_NOTE]
            wanted = [
                result for result in every if result.kind in section.kinds and result not in note
            ]
            wanted = [*wanted, *note] if wanted else []
        return JobResults(job_id=job_id, every=every, wanted=wanted)

    def _rejection(self, delivery: Delivery, results: Sequence[Path]) -> Path:
        """Returns the note that rejects results of a job at a destination; it is written once."""
        folder = self.storage.job_folder(delivery.job_id)
        destination = hashlib.sha256(delivery.destination.encode()).hexdigest()
        note = folder / NOTES_NAME / f"{destination[:_DIGEST_CHARACTERS]}.dcm"
        if not note.exists():
            # Imported here, because it is seldom needed and takes long to import.
            from app.rejection_of_replaced_results import write_replacement_note

            write_replacement_note(results, folder / SETTINGS_NAME, note)
        return note

    def _fail(self, delivery: Delivery, reason: str) -> bool:
        settings, now = self.settings.deliver, time.time()
        if now - delivery.created_at > settings.give_up_days * SECONDS_PER_DAY:
            log.error("delivery_dead", destination=delivery.destination, reason=reason)
            return self.deliveries.die(delivery, reason)
        wait = retry_seconds(
            delivery.attempts, settings.first_retry_seconds, settings.longest_retry_seconds
        )
        log.warning("not_delivered", destination=delivery.destination, reason=reason)
        return self.deliveries.postpone(delivery, reason, now + wait)

    def _ask_later(self, delivery: Delivery, reason: str | None) -> bool:
        settings, now = self.settings.deliver, time.time()
        if now - (delivery.delivered_at or now) > settings.give_up_days * SECONDS_PER_DAY:
            last = f"; the last time: {reason}" if reason else ""
            return self.deliveries.stop_asking(
                delivery, f"no promise to keep it in {settings.give_up_days:g} days{last}"
            )
        first = max(settings.first_retry_seconds, ASK_AGAIN_SECONDS)
        wait = retry_seconds(delivery.attempts, first, settings.longest_retry_seconds)
        return self.deliveries.asked(delivery, reason, now + wait)


def send(destination: DestinationSection, files: Sequence[Path]) -> None:
    """Sends DICOM files to a destination, all of them again if one is not taken.

    Raises:
        ResourceError: It did not take all of them; with the reason.
    """
    if destination.dicom is not None:
        send_dicom(destination.dicom, files)
    elif destination.stow is not None:
        send_stow(destination.stow, files)


def _reason(error: Exception) -> str:
    if isinstance(error, ResourceError):
        return str(error)
    return str(internal_error(error))

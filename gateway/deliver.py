"""Results go to their destinations: each on its own, and tried again for days."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.commitment import request_commitment
from gateway.config import DestinationSection, GatewaySettings
from gateway.deliverylist import Delivery, DeliveryList, DeliveryState
from gateway.joblist import JobList
from gateway.send_dicom import send_dicom
from gateway.send_stow import send_stow
from gateway.storage import Storage
from totalmap.errors import ResourceError
from totalmap.log import get_logger

SECONDS_PER_DAY = 86_400

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverer:
    """Delivers what is on record."""

    settings: GatewaySettings
    storage: Storage
    jobs: JobList
    deliveries: DeliveryList

    def deliver(self, job_id: str, destination: str, run: int) -> None:
        """Does a delivery that comes out of the queue; does nothing if it is done already.

        Raises:
            ResourceError: The database fails; the delivery is queued again by the next sweep.
        """
        delivery = self.deliveries.delivery(job_id, destination)
        if delivery is None or delivery.state is not DeliveryState.WAITING or delivery.run != run:
            return
        section = self.settings.destination(destination)
        if section is None:
            job = self.jobs.job(job_id)
            self._fail(
                delivery,
                f"no destination is called {destination}, or has the AE title of "
                f"the sender, {job.sender if job else 'which is not known'}",
            )
            return
        try:
            files = self._files(delivery, section)
            if files:
                send(section, files)
            transaction = _commitment(section, files)
        except ResourceError as error:
            self._fail(delivery, str(error))
        except Exception as error:  # a delivery is never left without a reason
            log.exception("delivery_broken", job=job_id, destination=destination)
            self._fail(delivery, f"unexpected {type(error).__name__}; a defect of TotalMAP")
        else:
            self.deliveries.delivered(delivery, transaction)
            log.info("delivered", job=job_id, destination=destination, instances=len(files))

    def _files(self, delivery: Delivery, section: DestinationSection) -> Sequence[Path]:
        folder = self.storage.output_folder(delivery.job_id)
        files = [
            folder / one.path
            for one in self.jobs.results(delivery.job_id)
            if one.sop_instance_uid and (not section.kinds or one.kind in section.kinds)
        ]
        missing = sum(not path.exists() for path in files)
        if missing:
            raise ResourceError(f"{missing} of {len(files)} results are not on the disk any more")
        return files

    def _fail(self, delivery: Delivery, reason: str) -> None:
        settings, now = self.settings.deliver, time.time()
        if now - delivery.created_at > settings.give_up_days * SECONDS_PER_DAY:
            self.deliveries.die(delivery, reason)
            log.error("delivery_dead", destination=delivery.destination, reason=reason)
            return
        wait = retry_seconds(
            delivery.attempts, settings.first_retry_seconds, settings.longest_retry_seconds
        )
        self.deliveries.postpone(delivery, reason, now + wait)
        log.warning("not_delivered", destination=delivery.destination, reason=reason)


def send(destination: DestinationSection, files: Sequence[Path]) -> None:
    """Sends DICOM files to a destination, all of them again if one is not taken.

    Raises:
        ResourceError: It did not take all of them; with the reason.
    """
    if destination.dicom is not None:
        send_dicom(destination.dicom, files)
    elif destination.stow is not None:
        send_stow(destination.stow, files)


def retry_seconds(failures: int, first: float, longest: float) -> float:
    """Returns how long to wait after a failure, of which there were so many before."""
    doublings = min(failures, 64)
    return min(first * 2.0**doublings, longest)


def _commitment(destination: DestinationSection, files: Sequence[Path]) -> str | None:
    if destination.dicom is None or not destination.dicom.storage_commitment or not files:
        return None
    return request_commitment(destination.dicom, files)

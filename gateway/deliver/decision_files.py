"""Writes the DICOM objects that decisions about results deliver, into the folder of the job.

```
jobs/J/decisions/N/    the objects of decision N
```

An object is written when it is first delivered. The same decision gives the same bytes, so that a
delivery that a crash has interrupted writes and sends them again.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway.store.decision import Decision, DeliveredObjects, Parcel
from gateway.store.decisions import DecisionList, Step
from gateway.store.deliveries import Delivery
from gateway.store.file_storage import SETTINGS_NAME, Storage
from gateway.store.job import KeptResult
from totalmap.errors import ResourceError
from totalmap.finding import REJECTION_NOTE
from totalmap.reviewer import Reviewer

DECISIONS_NAME = "decisions"
_DIGEST_CHARACTERS = 12
_SR = "sr"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResults:
    """The results of a job that are DICOM objects.

    Attributes:
        every: All of them.
        wanted: Those that a destination wants.
    """

    job_id: str
    every: Sequence[KeptResult]
    wanted: Sequence[KeptResult]


class DecisionFiles:
    """The objects of decisions; safe to use from many threads."""

    def __init__(self, storage: Storage, decisions: DecisionList) -> None:
        self._storage = storage
        self._decisions = decisions

    def of(self, delivery: Delivery, results: JobResults) -> Sequence[Path]:
        """Returns the files that a decision delivers to a destination; they are written once.

        Args:
            delivery: Of a decision.
            results: Of its job.

        Raises:
            ResourceError: The decision is about earlier results, or the disk fails.
            TotalMapError: A result can't be read.
        """
        step = self._step(delivery)
        wanted = _without_note(results.wanted)
        decision, before, after = step.decision, step.before, step.after
        if not wanted or after.parcel in (Parcel.NOTHING, Parcel.RESULTS):
            return []
        if after.parcel is Parcel.COPIES:
            return self._copies(decision, results, wanted)
        present = self._present(before, results, wanted)
        if after.parcel is Parcel.VERIFIED_REPORT:
            return self._reports(decision, present)
        reports = self._reports_of(before, results, wanted)
        rejected = reports
        if after.parcel is Parcel.NOTE:
            rejected = [*(file for _, file in present), *reports]
        return [self._note(decision, delivery, rejected)] if rejected else []

    def delivered_before(
        self, deliveries: Sequence[Delivery], destination: str, results: JobResults
    ) -> Sequence[Path]:
        """Returns the copies and reports that a destination got by decisions."""
        found: list[Path] = []
        for delivery in deliveries:
            is_sent = delivery.decision_id and delivery.delivered_at is not None
            if is_sent and delivery.destination == destination:
                parcel = self._step(delivery).after.parcel
                if parcel in (Parcel.COPIES, Parcel.VERIFIED_REPORT):
                    found += self.of(delivery, results)
        return found

    def _step(self, delivery: Delivery) -> Step:
        steps = self._decisions.steps(delivery.job_id)
        for step in steps:
            if step.decision.decision_id == delivery.decision_id:
                return step
        raise ResourceError(f"decision {delivery.decision_id} is about earlier results of the job")

    def _present(
        self, state: DeliveredObjects, results: JobResults, wanted: Sequence[KeptResult]
    ) -> Sequence[tuple[KeptResult, Path]]:
        """Returns the results that a destination has, with their files: the originals or copies."""
        if not state.copies_of:
            output = self._storage.output_folder(results.job_id)
            return [(result, output / result.path) for result in wanted]
        made = self._decision(results.job_id, state.copies_of)
        return [*zip(wanted, self._copies(made, results, wanted), strict=True)]

    def _copies(
        self, decision: Decision, results: JobResults, wanted: Sequence[KeptResult]
    ) -> Sequence[Path]:
        """Returns the copies of some results; those of all refer to each other."""
        output = self._storage.output_folder(results.job_id)
        folder = self._folder(decision)
        every = _without_note(results.every)
        targets = [_flat(folder, "copy", result) for result in every]
        if not all(target.exists() for target in targets):
            # Imported here, because it is seldom needed, and brings the application along.
            from app.decision_documents import write_copies

            write_copies([output / result.path for result in every], decision.form, targets)
        return [_flat(folder, "copy", result) for result in wanted]

    def _reports(
        self, decision: Decision, present: Sequence[tuple[KeptResult, Path]]
    ) -> Sequence[Path]:
        """Returns the verified copies of the measurements."""
        folder, found = self._folder(decision), []
        for result, file in present:
            if result.kind == _SR:
                target = _flat(folder, "verified", result)
                self._write(target, partial(_write_report, file, decision, target))
                found.append(target)
        return found

    def _reports_of(
        self, state: DeliveredObjects, results: JobResults, wanted: Sequence[KeptResult]
    ) -> Sequence[Path]:
        if not state.report_of:
            return []
        verified = self._decision(results.job_id, state.report_of)
        return self._reports(verified, self._present(state, results, wanted))

    def _note(self, decision: Decision, delivery: Delivery, rejected: Sequence[Path]) -> Path:
        destination = hashlib.sha256(delivery.destination.encode()).hexdigest()
        target = self._folder(decision) / f"note-{destination[:_DIGEST_CHARACTERS]}.dcm"
        settings = self._storage.job_folder(delivery.job_id) / SETTINGS_NAME
        self._write(target, partial(_write_note, rejected, decision, settings, target))
        return target

    def _write(self, target: Path, write: Callable[[], None]) -> None:
        if not target.exists():
            write()

    def _decision(self, job_id: str, decision_id: int) -> Decision:
        decisions = self._decisions.of_job(job_id)
        return next(each for each in decisions if each.decision_id == decision_id)

    def _folder(self, decision: Decision) -> Path:
        folder = self._storage.job_folder(decision.job_id) / DECISIONS_NAME
        return folder / str(decision.decision_id)


def _write_report(sr: Path, decision: Decision, target: Path) -> None:
    from app.decision_documents import write_verified_report

    write_verified_report(sr, _reviewer(decision), decision.organization or "", target)


def _write_note(rejected: Sequence[Path], decision: Decision, settings: Path, target: Path) -> None:
    from app.decision_documents import write_persons_rejection

    write_persons_rejection(rejected, _reviewer(decision), settings, target)


def _reviewer(decision: Decision) -> Reviewer:
    return Reviewer(
        name=decision.who, at=decision.at, reason=decision.reason or "", uid_key=decision.form
    )


def _without_note(results: Sequence[KeptResult]) -> Sequence[KeptResult]:
    return [result for result in results if result.kind != REJECTION_NOTE]


def _flat(folder: Path, prefix: str, result: KeptResult) -> Path:
    """Returns the path of an object that was made of a result, without folders of its own."""
    return folder / f"{prefix}-{result.path.replace('/', '-')}"

"""A DICOM archive that offers storage commitment, and reports in the ways that archives do."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from queue import SimpleQueue
from threading import Thread
from typing import cast

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at its import
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from gateway.outgoing_association import KEEP_REPLIES
from tests.servers import LOOPBACK, free_port
from tests.serving import patient, serving_dicom

REQUEST, ALL_KEPT, NOT_ALL_KEPT = 1, 1, 2


class Answers(StrEnum):
    """When an archive reports."""

    BEFORE_THE_ANSWER = "over the same association, before it answers the request"
    AFTER_THE_ANSWER = "over the same association, when it has answered the request"
    WHEN_TOLD = "when the test says so"
    NEVER = "it does not know what storage commitment is"


@dataclass
class CommittingArchive:
    """Takes everything.

    Attributes:
        stored: SOP Instance UIDs in the order in which they came.
        requests: For storage commitment, as they came.
        failures: SOP Instance UIDs that it does not promise to keep, each with the reason.
    """

    title: str
    port: int
    answers: Answers
    stored: list[str] = field(default_factory=list)
    requests: "SimpleQueue[Dataset]" = field(default_factory=SimpleQueue)
    failures: Mapping[str, int] = field(default_factory=dict)
    _asked: bool = False

    def report(self, port: int, called: str, asked: Dataset) -> int:
        """Reports over an association of its own, as its SCP; returns the status of the answer."""
        with committing(port, called, self.title, is_scp=True) as association:
            return self.report_over(association, asked)

    def report_over(self, association: Association, asked: Dataset) -> int:
        """Reports over an association; returns the status of the answer."""
        report = Dataset()
        report.TransactionUID = asked.TransactionUID
        report.ReferencedSOPSequence = [
            item
            for item in asked.ReferencedSOPSequence
            if item.ReferencedSOPInstanceUID not in self.failures
        ]
        if self.failures:
            report.FailedSOPSequence = [
                item
                for item in asked.ReferencedSOPSequence
                if item.ReferencedSOPInstanceUID in self.failures
            ]
            for entry in report.FailedSOPSequence:
                entry.FailureReason = self.failures[entry.ReferencedSOPInstanceUID]
        return send_report(association, report, NOT_ALL_KEPT if self.failures else ALL_KEPT)

    def store(self, event: evt.Event) -> int:
        """Answers C-STORE."""
        self.stored.append(str(cast(C_STORE, event.request).AffectedSOPInstanceUID))
        return 0x0000

    def act(self, event: evt.Event) -> tuple[int, None]:
        """Answers N-ACTION."""
        asked = event.action_information
        self.requests.put(asked)
        if self.answers is Answers.BEFORE_THE_ANSWER:
            self.report_over(event.assoc, asked)
        self._asked = True
        return 0x0000, None

    def sent(self, event: evt.Event) -> None:
        """Reports when the answer to the request has gone."""
        if self._asked and self.answers is Answers.AFTER_THE_ANSWER:
            self._asked = False
            asked = self.requests.get()
            Thread(target=self.report_over, args=(event.assoc, asked)).start()


@contextmanager
def running_committing_archive(
    answers: Answers, title: str = "ARCHIVE"
) -> Iterator[CommittingArchive]:
    """Yields an archive that listens on a free port while the block runs."""
    archive = CommittingArchive(title=title, port=free_port(), answers=answers)
    entity = AE(title)
    entity.supported_contexts = AllStoragePresentationContexts
    if answers is not Answers.NEVER:
        entity.add_supported_context(StorageCommitmentPushModel)
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_C_STORE, archive.store),
        (evt.EVT_N_ACTION, archive.act),
        (evt.EVT_PDU_SENT, archive.sent),
    ]
    with serving_dicom(entity, archive.port, handlers):
        yield archive


@contextmanager
def committing(
    port: int,
    called: str,
    title: str,
    *,
    is_scp: bool = False,
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Iterator[Association]:
    """An association for storage commitment and storage, with a node of this machine."""
    entity = patient(AE(title))
    entity.add_requested_context(StorageCommitmentPushModel)
    entity.add_requested_context(CTImageStorage)
    role = build_role(StorageCommitmentPushModel, scu_role=not is_scp, scp_role=is_scp)
    association = entity.associate(
        LOOPBACK,
        port,
        ae_title=called,
        ext_neg=[role] if is_scp else [],
        evt_handlers=[KEEP_REPLIES, *handlers],
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def send_report(association: Association, report: Dataset, event_type: int) -> int:
    """Sends N-EVENT-REPORT; returns the status of the answer."""
    answer, _ = association.send_n_event_report(
        report, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    return int(answer.Status)


def send_request(association: Association, asked: Dataset, action_type: int = REQUEST) -> int:
    """Sends N-ACTION; returns the status of the answer."""
    answer, _ = association.send_n_action(
        asked, action_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    return int(answer.Status)


def request_for(transaction_uid: str, instances: Mapping[str, str]) -> Dataset:
    """Returns a request; instances are SOP Instance UIDs, each with its SOP Class UID."""
    asked = Dataset()
    asked.TransactionUID = transaction_uid
    asked.ReferencedSOPSequence = []
    for uid, sop_class in instances.items():
        reference = Dataset()
        reference.ReferencedSOPClassUID = sop_class
        reference.ReferencedSOPInstanceUID = uid
        asked.ReferencedSOPSequence.append(reference)
    return asked

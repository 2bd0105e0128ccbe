"""Asks the source of a study how many instances it has, by C-FIND (PS3.4 C) or QIDO-RS."""

import time
from collections.abc import Container, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at its import
    StudyRootQueryRetrieveInformationModelFind,
)

from gateway.config import DestinationSection, DicomDestination, StowDestination
from gateway.deliver.send_stow import search
from gateway.outgoing_association import association
from totalmap.errors import ResourceError
from totalmap.log import get_logger

ASK_AT_ONCE = 2

NUMBER_TAG = "00201208"  # Number of Study Related Instances
_PENDING = (0xFF00, 0xFF01)
_MODEL = StudyRootQueryRetrieveInformationModelFind

log = get_logger()


class ExpectedCounts:
    """Numbers of instances at the source, asked for in threads in the background."""

    def __init__(self, source: DestinationSection | None, ask_seconds: float) -> None:
        """Asks nothing yet.

        Args:
            source: The destination to ask; None: no
                source is asked.
            ask_seconds: The time between two queries for the same study.
        """
        self._source = source
        self._ask_seconds = ask_seconds
        self._pool = ThreadPoolExecutor(ASK_AT_ONCE, "source")
        self._asked: dict[str, tuple[float, Future[int | None]]] = {}
        self._known: dict[str, int] = {}

    def of(self, study_instance_uid: str) -> int | None:
        """Returns the number of instances of a study at the source; None: it is not known yet."""
        if self._source is None:
            return None
        asked_at, answer = self._asked.get(study_instance_uid, (0.0, None))
        if answer is not None and answer.done():
            self._take(study_instance_uid, answer)
        is_due = time.monotonic() - asked_at >= self._ask_seconds
        if is_due and (answer is None or answer.done()):
            question = self._pool.submit(expected_instances, self._source, study_instance_uid)
            self._asked[study_instance_uid] = (time.monotonic(), question)
        return self._known.get(study_instance_uid)

    def forget_all_but(self, study_instance_uids: Container[str]) -> None:
        """Forgets all studies except some."""
        for uid in [uid for uid in self._asked if uid not in study_instance_uids]:
            del self._asked[uid]
            self._known.pop(uid, None)

    def close(self) -> None:
        """Asks no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _take(self, study_instance_uid: str, answer: "Future[int | None]") -> None:
        try:
            number = answer.result()
        except ResourceError as error:
            log.warning("source_not_asked", reason=str(error))
        else:
            if number is not None:
                self._known[study_instance_uid] = number


def expected_instances(source: DestinationSection, study_instance_uid: str) -> int | None:
    """Returns the number of instances of a study at its source; None: it does not say.

    Raises:
        ResourceError: The source does not answer properly; with the reason.
    """
    if source.dicom is not None:
        return _find(source.dicom, study_instance_uid)
    if source.stow is not None:
        return _search(source.stow, study_instance_uid)
    return None


def _find(source: DicomDestination, study_instance_uid: str) -> int | None:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_instance_uid
    query.NumberOfStudyRelatedInstances = None
    found: list[int] = []
    with association(source, [(_MODEL, [ImplicitVRLittleEndian])]) as established:
        for status, answer in established.send_c_find(query, _MODEL):
            code = status.get("Status")
            if code is None:
                raise ResourceError(f"{source.ae_title} did not answer C-FIND")
            if code in _PENDING and answer and answer.get("NumberOfStudyRelatedInstances"):
                found.append(int(answer.NumberOfStudyRelatedInstances))
    return max(found, default=None)


def _search(source: StowDestination, study_instance_uid: str) -> int | None:
    answer = search(source, {"StudyInstanceUID": study_instance_uid, "includefield": NUMBER_TAG})
    if answer.status_code == httpx.codes.NO_CONTENT:
        return None
    return max(_numbers(answer.json()), default=None)


def _numbers(studies: Sequence[dict[str, dict[str, list[int]]]]) -> list[int]:
    values = (study.get(NUMBER_TAG, {}).get("Value", [])[:1] for study in studies)
    return [int(number) for value in values for number in value]

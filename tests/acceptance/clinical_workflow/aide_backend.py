"""Stands in for the public backend of AIDE, in which clinicians accept or reject results."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import pydicom
from pydantic import BaseModel, ConfigDict

from tests.acceptance.clinical_workflow.events import ClinicalReviewRequestEvent
from tests.acceptance.clinical_workflow.message_bus import CannotHandleError, Handler, MessageBus
from tests.acceptance.task_manager.events import TaskCallbackEvent
from tests.acceptance.task_manager.messages import Topic
from tests.acceptance.task_manager.object_store import ObjectStore

APPLICATION = "b1a66c3e-c85a-4297-87d2-ac8ff2497e14"  # the ID of the backend


class Answer(BaseModel):
    """The body of the request with which a clinician decides."""

    model_config = ConfigDict(frozen=True)

    acceptance: bool = False
    reason: str = ""
    message: str | None = None
    roles: tuple[str, ...] = ()
    user_id: str = ""


@dataclass
class Review:
    """A request of the Task Manager, as a clinician sees it.

    Attributes:
        series: The keys in the object store of each series, in the order of Instance Number; empty
            if the backend could not read them.
    """

    request: ClinicalReviewRequestEvent
    series: Mapping[str, list[str]]
    answer: Answer | None = None


class AideBackend:
    """Keeps the reviews, and sends the answers to the Task Manager."""

    def __init__(self, bus: MessageBus, store: ObjectStore) -> None:
        self._bus = bus
        self._store = store
        self._reviews: dict[str, Review] = {}

    @property
    def handlers(self) -> Mapping[Topic, Handler]:
        """The function for the topic."""
        return {Topic.REVIEW_REQUEST: self._request}

    def waiting(self, *roles: str) -> list[Review]:
        """Returns the reviews without an answer that one of the roles may decide."""
        return [
            review
            for review in self._reviews.values()
            if review.answer is None and set(roles) & set(review.request.reviewer_roles)
        ]

    def review(self, execution_id: str) -> Review:
        """Returns a review, answered or not."""
        return self._reviews[execution_id]

    def decide(self, execution_id: str, answer: Answer) -> HTTPStatus:
        """Sends an answer to the Task Manager, and returns the status of the HTTP response."""
        if not answer.user_id.strip() or not answer.roles:
            return HTTPStatus.BAD_REQUEST
        if not answer.acceptance and not answer.reason.strip():
            return HTTPStatus.BAD_REQUEST
        review = self._reviews.get(execution_id)
        if review is None:
            return HTTPStatus.NOT_FOUND
        allowed = {role.casefold() for role in review.request.reviewer_roles}
        if allowed.isdisjoint(role.casefold() for role in answer.roles):
            return HTTPStatus.FORBIDDEN
        if review.answer is not None:
            return HTTPStatus.BAD_REQUEST
        callback = _callback(review.request, answer)
        self._bus.send(Topic.CALLBACK, callback, callback.correlation_id, APPLICATION)
        review.answer = answer
        return HTTPStatus.NO_CONTENT

    def _request(self, body: bytes) -> None:
        request = ClinicalReviewRequestEvent.model_validate_json(body)
        # First the request: it waits for an answer even if its files can't be shown.
        review = self._reviews[request.execution_id] = Review(request, {})
        review.series = self._series(request)

    def _series(self, request: ClinicalReviewRequestEvent) -> dict[str, list[str]]:
        series: dict[str, dict[int, str]] = {}
        for place in request.files:
            for key in self._store.keys(place.bucket, place.relative_root_path):
                if not key.lower().endswith(".dcm"):
                    continue
                content = io.BytesIO(self._store.get(place.bucket, key))
                header = pydicom.dcmread(content, stop_before_pixels=True)
                keys = series.setdefault(str(header.SeriesInstanceUID), {})
                number = int(header.get("InstanceNumber") or 0)
                if number in keys:
                    raise CannotHandleError("two instances of a series have one number")
                keys[number] = key
        return {uid: [keys[number] for number in sorted(keys)] for uid, keys in series.items()}


def _callback(request: ClinicalReviewRequestEvent, answer: Answer) -> TaskCallbackEvent:
    metadata: dict[str, object] = {
        "acceptance": answer.acceptance,
        "user_id": answer.user_id,
        "roles": ",".join(answer.roles),
    }
    if answer.reason.strip():
        metadata["reason"] = answer.reason
    if answer.message and answer.message.strip():
        metadata["message"] = answer.message
    return TaskCallbackEvent(
        workflow_instance_id=request.workflow_instance_id,
        task_id=request.task_id,
        execution_id=request.execution_id,
        correlation_id=request.correlation_id,
        identity=request.execution_id,
        metadata=metadata,
    )

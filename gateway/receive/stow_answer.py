"""What a Store request (PS3.18 10.5) is answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from pydicom.dataset import Dataset
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from gateway.receive.multipart import MalformedMultipart
from gateway.receive.stow_request import TooLarge
from totalmap.errors import ResourceError

# PS3.18 I.2.2
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
RETRY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a part; without UIDs where nobody knows them."""

    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    failure: int | None = None


def answer_to(outcomes: Sequence[Outcome]) -> Response:
    """Returns the Store Instances Response Module (PS3.18 I.2) and its status (10.5.3.1)."""
    stored = [one for one in outcomes if one.failure is None]
    failed = [one for one in outcomes if one.failure is not None]
    answer = Dataset()
    if stored:
        answer.ReferencedSOPSequence = [_item(one) for one in stored]
    if known := [_item(one) for one in failed if one.sop_instance_uid]:
        answer.FailedSOPSequence = known
    if unknown := [_item(one) for one in failed if not one.sop_instance_uid]:
        answer.OtherFailuresSequence = unknown
    status = HTTPStatus.OK if stored else HTTPStatus.CONFLICT
    if stored and failed:
        status = HTTPStatus.ACCEPTED
    return JSONResponse(answer.to_json_dict(), status, media_type="application/dicom+json")


def refusal_after(error: BaseException) -> HTTPException | None:
    """Returns what to answer where a request can't be received; None: that is another error."""
    if isinstance(error, TooLarge):
        return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
    if isinstance(error, MalformedMultipart):
        return HTTPException(HTTPStatus.BAD_REQUEST, str(error))
    if isinstance(error, ResourceError):
        again = {"Retry-After": str(RETRY_SECONDS)}
        return HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error), again)
    if isinstance(error, TimeoutError):
        return HTTPException(HTTPStatus.REQUEST_TIMEOUT, "the request was silent for too long")
    if isinstance(error, ClientDisconnect):
        return HTTPException(HTTPStatus.BAD_REQUEST, "the request was cut off")
    return None


def _item(outcome: Outcome) -> Dataset:
    item = Dataset()
    if outcome.sop_instance_uid:
        item.ReferencedSOPClassUID = outcome.sop_class_uid
        item.ReferencedSOPInstanceUID = outcome.sop_instance_uid
    if outcome.failure is not None:
        item.FailureReason = outcome.failure
    return item

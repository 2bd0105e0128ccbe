"""Answers the links in messages about alarms, which name no study: goes on to the study's page."""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.web.access_control import PermittedRoute
from gateway.web.context import WebContext
from gateway.web.permissions import Permission
from totalmap.texts.catalogue import Message


def message_links(context: WebContext) -> Sequence[PermittedRoute]:
    """Returns the routes `/jobs/JOB` and `/conflicts/NUMBER`, for users who are logged in."""

    def job(request: Request) -> Response:
        found = context.jobs.job(request.path_params["job_id"])
        return _go_on(found.study_instance_uid if found else None)

    def conflict(request: Request) -> Response:
        found = context.conflicts.conflict(request.path_params["conflict_id"])
        return _go_on(found.study_instance_uid if found else None)

    return [
        PermittedRoute("/jobs/{job_id}", job, Permission.VIEW),
        PermittedRoute("/conflicts/{conflict_id:int}", conflict, Permission.VIEW),
    ]


def _go_on(study_instance_uid: str | None) -> Response:
    if study_instance_uid is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.deleted"))
    return RedirectResponse(f"/studies/{quote(study_instance_uid)}", HTTPStatus.SEE_OTHER)

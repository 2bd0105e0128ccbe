"""Answers the requests of users who are logged in: pages, files and buttons."""

from http import HTTPStatus
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from gateway.conflict_detection import ConflictDetector
from gateway.store.audit_events import record_viewed
from gateway.store.counts_for_page_and_metrics import Group
from gateway.web import page_data
from gateway.web.authentication import AUTOMATIC
from gateway.web.context import WebContext
from gateway.web.forms import NEXT_FIELD, own_path, page_number, with_query
from gateway.web.rendering import SAID, render_inside
from gateway.web.result_files import PREVIEW_NAME, REPORT_NAME, preview, thumbnail
from totalmap.texts.catalogue import Message

_TYPES = {
    ".csv": "text/csv",
    ".dcm": "application/dicom",
    ".gz": "application/gzip",
    ".html": "text/html",
    ".json": "application/json",
    ".png": "image/png",
}
# The report contains its styles and pictures, and no scripts.
REPORT_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# The choices of a user about a conflict, and the message of the page afterwards.
_CHOICES = {"keep": "first-kept", "take": "new-taken", "reject": "study-rejected"}


class Pages:
    """Endpoints that show pages and files to users who are logged in."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def overview(self, request: Request) -> Response:
        """Shows the overview, or the jobs of a group."""
        query = request.query_params
        group = query.get("group", "")
        if group and group not in tuple(Group):
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.list"))
        page = page_number(query.get("page", "1"))
        view = page_data.overview(
            self._context, Group(group) if group else None, page if group else 1
        )
        return self._show("overview.html.jinja", request, view)

    def study(self, request: Request) -> Response:
        """Shows the page of a study."""
        uid = request.path_params["study"]
        view = page_data.study(self._context, uid)
        if view is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.study"))
        if AUTOMATIC not in request.query_params:
            self._viewed(request, uid)
        return self._show("study.html.jinja", request, view)

    def thumbnail(self, request: Request) -> Response:
        """Sends the thumbnail of a job's preview."""
        job = self._context.jobs.job(request.path_params["job_id"])
        path = preview(self._context.storage, job.job_id) if job else None
        if path is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.file"))
        return Response(thumbnail(path), media_type="image/jpeg")

    def file(self, request: Request) -> Response:
        """Sends a result of a job, to be shown by the browser or saved."""
        study_instance_uid, job_id, path = self._file(request, request.path_params["path"])
        if path.name == PREVIEW_NAME:
            return FileResponse(path, media_type=_TYPES[".png"])
        self._viewed(request, study_instance_uid, job_id, request.path_params["path"])
        if path.name == REPORT_NAME:
            policy = {"Content-Security-Policy": REPORT_POLICY}
            return FileResponse(path, media_type=_TYPES[".html"], headers=policy)
        kind = _TYPES.get(path.suffix, "application/octet-stream")
        return FileResponse(path, media_type=kind, filename=path.name)

    def _show(self, name: str, request: Request, view: object) -> Response:
        return render_inside(name, request, view)

    def _file(self, request: Request, name: str) -> tuple[str, str, Path]:
        """Returns the study, the job, and the path of a file."""
        job = self._context.jobs.job(request.path_params["job_id"])
        path = self._context.results.find(job.job_id, name) if job else None
        if job is None or path is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.file"))
        return job.study_instance_uid, job.job_id, path

    def _viewed(
        self, request: Request, study: str, job_id: str | None = None, result: str | None = None
    ) -> None:
        user = request.state.visit.user
        address = self._context.authenticator.address_of(request)
        record_viewed(self._context.database, study, user, address, job_id=job_id, result=result)


class Actions:
    """Endpoints of the buttons; each records the user who acts."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def retry(self, request: Request) -> Response:
        """Queues a job again that failed or was cancelled."""
        return _done(request, self._context.jobs.retry(*_job_and_user(request)), "retried")

    def cancel(self, request: Request) -> Response:
        """Cancels a waiting or running job."""
        return _done(request, self._context.jobs.cancel(*_job_and_user(request)), "cancelled")

    def make_urgent(self, request: Request) -> Response:
        """Makes a waiting job urgent."""
        return _done(request, self._context.jobs.make_urgent(*_job_and_user(request)), "urgent")

    def retry_delivery(self, request: Request) -> Response:
        """Retries a delivery now."""
        job_id, user = _job_and_user(request)
        delivery = self._context.deliveries.delivery(
            job_id, request.path_params["destination"], request.path_params["decision_id"]
        )
        if delivery is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.delivery"))
        return _done(request, self._context.deliveries.retry(delivery, user), "delivering")

    def decide(self, request: Request) -> Response:
        """Decides about a conflict, unless it has changed since the user saw it."""
        choice = request.path_params["choice"]
        conflict_id, n_instances = (
            request.path_params[name] for name in ("conflict_id", "n_instances")
        )
        conflict = self._context.conflicts.conflict(conflict_id)
        if conflict is None or choice not in _CHOICES:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.conflict"))
        user, conflicts = request.state.visit.user, self._context.conflicts
        if choice == "keep":
            is_done = conflicts.keep_first(conflict_id, n_instances, user)
        elif choice == "reject":
            is_done = conflicts.reject_study(conflict_id, n_instances, user)
        else:
            conflict_detector = ConflictDetector(
                self._context.ledger, conflicts, self._context.storage
            )
            replaced = conflict_detector.replaced_by(conflict)
            is_done = conflicts.take_new(conflict_id, n_instances, user, replaced)
            self._context.study_titles.forget(conflict.study_instance_uid)
        return _done(request, is_done, _CHOICES[choice])

    def confirm_clock(self, request: Request) -> Response:
        """Confirms the clock after a jump, so that retention goes on."""
        is_done = self._context.clock.confirm(request.state.visit.user)
        return _done(request, is_done, "clock-confirmed")

    def pause(self, request: Request) -> Response:
        """Stops the start of jobs."""
        return self._pause(request, "paused", is_paused=True)

    def resume(self, request: Request) -> Response:
        """Resumes the start of jobs."""
        return self._pause(request, "resumed", is_paused=False)

    def _pause(self, request: Request, said: str, *, is_paused: bool) -> Response:
        self._context.worker_list.pause(request.state.visit.user, is_paused=is_paused)
        return _done(request, True, said)


def _job_and_user(request: Request) -> tuple[str, str]:
    return request.path_params["job_id"], request.state.visit.user


def _done(request: Request, is_done: bool, said: str) -> Response:
    """Redirects to the page of the button, which shows the outcome."""
    where = own_path(request.state.form.get(NEXT_FIELD, "/"))
    where = with_query(where, **{SAID: said if is_done else "unchanged"})
    return RedirectResponse(where, HTTPStatus.SEE_OTHER)

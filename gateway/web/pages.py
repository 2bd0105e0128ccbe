"""What users see: the endpoints that only show things."""

from http import HTTPStatus
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from gateway.store.events import record_viewed
from gateway.store.overview import Group
from gateway.web import views
from gateway.web.authentication import AUTOMATIC
from gateway.web.context import WebContext
from gateway.web.origin import origin_of
from gateway.web.rendering import render_inside
from gateway.web.results import PREVIEW_NAME, REPORT_NAME, preview, thumbnail

_TYPES = {
    ".csv": "text/csv",
    ".dcm": "application/dicom",
    ".gz": "application/gzip",
    ".html": "text/html",
    ".json": "application/json",
    ".png": "image/png",
}
PAGE_DIGITS = 6
# It has styles and pictures within itself, and can do nothing.
REPORT_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Pages:
    """The endpoints; only whoever is let in gets here."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._may_log_out = context.settings.web.user_header is None

    def overview(self, request: Request) -> Response:
        """Shows how everything stands, or the list of a group."""
        query = request.query_params
        group = query.get("group", "")
        if group and group not in tuple(Group):
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such list.")
        number = query.get("page", "1")[:PAGE_DIGITS]
        page = max(1, int(number)) if number.isascii() and number.isdecimal() else 1
        view = views.overview(self._context, Group(group) if group else None, page if group else 1)
        return self._show("overview.html.jinja", request, view)

    def study(self, request: Request) -> Response:
        """Shows a study."""
        uid = request.path_params["study"]
        view = views.study(self._context, uid)
        if view is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "Nothing is known of this study.")
        if AUTOMATIC not in request.query_params:
            self._viewed(request, uid)
        return self._show("study.html.jinja", request, view)

    def thumbnail(self, request: Request) -> Response:
        """Sends a small preview of a job."""
        job = self._context.jobs.job(request.path_params["job_id"])
        path = preview(self._context.storage, job.job_id) if job else None
        if path is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such file.")
        return Response(thumbnail(path), media_type="image/jpeg")

    def file(self, request: Request) -> Response:
        """Sends a result of a job: shown, if browsers can, or to be saved."""
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
        return render_inside(name, request, view, may_log_out=self._may_log_out)

    def _file(self, request: Request, name: str) -> tuple[str, str, Path]:
        """Returns the study, the job, and where its file is."""
        job = self._context.jobs.job(request.path_params["job_id"])
        path = self._context.results.find(job.job_id, name) if job else None
        if job is None or path is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such file.")
        return job.study_instance_uid, job.job_id, path

    def _viewed(
        self, request: Request, study: str, job_id: str | None = None, detail: str | None = None
    ) -> None:
        user = request.state.visit.user
        address = origin_of(request, self._context.settings.web.proxies).address
        record_viewed(self._context.database, study, user, address, job_id=job_id, detail=detail)

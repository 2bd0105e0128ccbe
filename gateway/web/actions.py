"""What users do: each action is put on record with who did it."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.conflict_detection import ConflictDetector
from gateway.web.context import WebContext
from gateway.web.forms import NEXT_FIELD, own_path, with_query
from gateway.web.rendering import SAID

# What a user may decide about a conflict, and what the page says afterwards.
_CHOICES = {"keep": "first-kept", "take": "new-taken", "reject": "study-rejected"}


class Actions:
    """The endpoints of the buttons; only whoever is let in gets here, by a form of ours."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def retry(self, request: Request) -> Response:
        """Queues a job again that failed or was cancelled."""
        return _done(request, self._context.jobs.retry(*_job_and_user(request)), "retried")

    def cancel(self, request: Request) -> Response:
        """Ends a job that waits or runs."""
        return _done(request, self._context.jobs.cancel(*_job_and_user(request)), "cancelled")

    def make_urgent(self, request: Request) -> Response:
        """Moves a job that waits before all that are not urgent."""
        return _done(request, self._context.jobs.make_urgent(*_job_and_user(request)), "urgent")

    def retry_delivery(self, request: Request) -> Response:
        """Has a delivery tried at once."""
        job_id, user = _job_and_user(request)
        delivery = self._context.deliveries.delivery(job_id, request.path_params["destination"])
        if delivery is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such delivery.")
        return _done(request, self._context.deliveries.retry(delivery, user), "delivering")

    def decide(self, request: Request) -> Response:
        """Decides about a conflict as the user saw it."""
        choice = request.path_params["choice"]
        conflict_id, n_instances = (
            request.path_params[name] for name in ("conflict_id", "n_instances")
        )
        conflict = self._context.conflicts.conflict(conflict_id)
        if conflict is None or choice not in _CHOICES:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such conflict.")
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
            self._context.headlines.forget(conflict.study_instance_uid)
        return _done(request, is_done, _CHOICES[choice])

    def confirm_clock(self, request: Request) -> Response:
        """Lets retention go on after the clock has jumped."""
        is_done = self._context.clock.confirm(request.state.visit.user)
        return _done(request, is_done, "clock-confirmed")

    def pause(self, request: Request) -> Response:
        """Has no further job begun."""
        return self._pause(request, "paused", is_paused=True)

    def resume(self, request: Request) -> Response:
        """Has jobs begun again."""
        return self._pause(request, "resumed", is_paused=False)

    def _pause(self, request: Request, said: str, *, is_paused: bool) -> Response:
        self._context.worker_list.pause(request.state.visit.user, is_paused=is_paused)
        return _done(request, True, said)


def _job_and_user(request: Request) -> tuple[str, str]:
    return request.path_params["job_id"], request.state.visit.user


def _done(request: Request, is_done: bool, said: str) -> Response:
    """Goes back to where the button was, which says what came of it."""
    where = own_path(request.state.form.get(NEXT_FIELD, "/"))
    where = with_query(where, **{SAID: said if is_done else "unchanged"})
    return RedirectResponse(where, HTTPStatus.SEE_OTHER)

"""Finds the way of a person through the results that wait for review, for URLs and forms of pages.

How far a person has come is in the URLs and forms themselves, so that two windows or two reviewers
do not disturb each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.web.context import WebContext
from gateway.web.forms import chosen_name, with_query
from gateway.web.prepared_views import viewable_series

WORKLIST_PATH = "/review"
# Query parameters, and fields of forms.
_RULE = "worklist"
_SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist:
    """A worklist through which a person goes.

    Attributes:
        rule: Results of this rule; empty: of all.
        skipped: The job whose results were skipped last: no results before them in the list come
            any more; empty: none were skipped.
    """

    rule: str = ""
    skipped: str = ""

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields that `worklist_of` reads."""
        return {_RULE: self.rule, **({_SKIPPED: self.skipped} if self.skipped else {})}


def worklist_of(fields: Mapping[str, str]) -> Worklist | None:
    """Returns the worklist from which a person came; None: from none.

    Args:
        fields: Of a form or a query, from outside: what no rule can be called is the list of all,
            and what no job can be called was not skipped.
    """
    rule = fields.get(_RULE)
    if rule is None:
        return None
    return Worklist(rule=chosen_name(rule), skipped=chosen_name(fields.get(_SKIPPED, "")))


def viewer_path(job_id: str, worklist: Worklist | None, number: int = 0) -> str:
    """Returns the path of the viewer for a series of results, in a worklist or without one."""
    return _in_list(f"/jobs/{job_id}/view/{number}", worklist)


def review_path(context: WebContext, job_id: str, worklist: Worklist | None) -> str:
    """Returns the path of the page on which a person looks at results and decides."""
    if viewable_series(context.results.files(job_id)):
        return viewer_path(job_id, worklist)
    return _in_list(f"/jobs/{job_id}/decide", worklist)


def next_job(context: WebContext, worklist: Worklist, job_id: str) -> str | None:
    """Returns the job whose results come after a decision; None: none do.

    Args:
        context: Of the page.
        worklist: Through which the person goes.
        job_id: The job that is decided about; a comment leaves it on the list.

    Raises:
        ResourceError: The database fails, here and in what follows.
    """
    waiting = context.review_list.waiting(worklist.rule, after=worklist.skipped, limit=2)
    return next((each.job_id for each in waiting if each.job_id != job_id), None)


def next_path(context: WebContext, worklist: Worklist, job_id: str) -> str:
    """Returns where a person goes on after a decision; at the end of the list, the list itself.

    Args:
        context, worklist, job_id: As in `next_job`.
    """
    following = next_job(context, worklist, job_id)
    if following is not None:
        return review_path(context, following, worklist)
    return with_query(WORKLIST_PATH, rule=worklist.rule) if worklist.rule else WORKLIST_PATH


def skip_path(context: WebContext, worklist: Worklist, job_id: str) -> str:
    """Returns where a person goes on without a decision, as `next_path`."""
    return next_path(context, replace(worklist, skipped=job_id), job_id)


def _in_list(path: str, worklist: Worklist | None) -> str:
    return path if worklist is None else with_query(path, **worklist.fields)

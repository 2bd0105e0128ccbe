"""Reads what a user searches for, and collects the studies that the page shows for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from gateway.store.job import Job
from gateway.store.study_index import SearchedState, StudyAttributes, StudyQuery
from gateway.web.context import WebContext
from gateway.web.study_titles import StudyTitle, study_title_of
from totalmap.texts.catalogue import Message

PAGE_STUDIES = 25
# A user needs less; each word costs the database time.
_MOST_CHARACTERS = 100
PROBLEM_DATE = Message("search.wrong_date")
PROBLEM_ORDER = Message("search.wrong_order")
PROBLEM_STATE = Message("search.wrong_state")
EXPIRED = Message("search.expired")


class WrongQuery(Exception):
    """What a user entered is no query.

    Attributes:
        problem: Why, for the user.
    """

    def __init__(self, problem: Message) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStudy:
    """A study that was found."""

    attributes: StudyAttributes
    study_title: StudyTitle
    jobs: Sequence[Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """The page of a search.

    Attributes:
        name: The name of the search in `SavedSearches`; empty: nothing was searched for.
        fields: What the user entered, by the fields of the form.
        problem: What is wrong with it; empty: nothing.
        found: The studies on this page; None: nothing was searched for.
        page: The number of the page, counted from 1.
        has_more: Whether there is a further page.
        n_unindexed: The number of studies that can't be found yet.
        rules: The names of the rules to choose from.
    """

    name: str
    fields: Mapping[str, str]
    problem: str
    found: Sequence[FoundStudy] | None
    page: int
    has_more: bool
    n_unindexed: int
    rules: Sequence[str]
    states: Sequence[str] = tuple(state.value for state in SearchedState)


def query_of(fields: Mapping[str, str]) -> StudyQuery:
    """Returns what a user searches for.

    Args:
        fields: The fields of the form; missing ones are empty.

    Raises:
        WrongQuery: A date or a state is none.
    """
    given = {name: value.strip()[:_MOST_CHARACTERS] for name, value in fields.items()}
    first, last = _date(given.get("first_date", "")), _date(given.get("last_date", ""))
    if first is not None and last is not None and first > last:
        raise WrongQuery(PROBLEM_ORDER)
    state = given.get("state", "")
    if state and state not in tuple(SearchedState):
        raise WrongQuery(PROBLEM_STATE)
    return StudyQuery(
        patient=given.get("patient", ""),
        accession_number=given.get("accession_number", ""),
        first_date=first,
        last_date=last,
        rule=given.get("rule", ""),
        state=SearchedState(state) if state else None,
    )


def search_page(
    context: WebContext,
    query: StudyQuery | None,
    *,
    name: str = "",
    page: int = 1,
    problem: str = "",
    fields: Mapping[str, str] | None = None,
) -> SearchPage:
    """Returns the data of the page of a search.

    Args:
        context: Of the page.
        query: What is searched for; None: nothing.
        name: As in `SearchPage`.
        page: As in `SearchPage`.
        problem: As in `SearchPage`.
        fields: What the user entered, if it is no query.

    Raises:
        ResourceError: The database fails.
    """
    index = context.study_index
    found: Sequence[StudyAttributes] = ()
    if query is not None:
        offset = (page - 1) * PAGE_STUDIES
        found = index.search(query, limit=PAGE_STUDIES + 1, offset=offset)
    shown = found[:PAGE_STUDIES]
    jobs = index.jobs_of([study.study_instance_uid for study in shown])
    rows = [
        FoundStudy(
            attributes=study,
            study_title=study_title_of(study),
            jobs=jobs[study.study_instance_uid],
        )
        for study in shown
    ]
    return SearchPage(
        name=name,
        fields=fields if fields is not None else _fields(query or StudyQuery()),
        problem=problem,
        found=None if query is None else rows,
        page=page,
        has_more=len(found) > PAGE_STUDIES,
        n_unindexed=index.count_unindexed(),
        rules=[rule.name for rule in context.settings.rules],
    )


def _fields(query: StudyQuery) -> Mapping[str, str]:
    return {
        "patient": query.patient,
        "accession_number": query.accession_number,
        "first_date": query.first_date.isoformat() if query.first_date else "",
        "last_date": query.last_date.isoformat() if query.last_date else "",
        "rule": query.rule,
        "state": query.state or "",
    }


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise WrongQuery(PROBLEM_DATE) from None

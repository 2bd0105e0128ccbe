"""Endpoints of the worklist, of the decisions that were made, and of their rates."""

import csv
from io import StringIO

from starlette.requests import Request
from starlette.responses import Response

from gateway.store.review_rates import Rate
from gateway.web.context import WebContext
from gateway.web.forms import page_number
from gateway.web.rendering import render_inside
from gateway.web.review_page_data import (
    DEFAULT_PERIOD,
    all_rates,
    decided_page,
    rates_page,
    waiting_page,
)
from totalmap.spreadsheet_text import as_text

_COLUMNS = (
    "dimension",
    "value",
    "accepted",
    "rejected",
    "released",
    "decisions",
    "reject_rate",
)
_CSV_NAME = "review-rates.csv"


class ReviewPages:
    """Endpoints that show what waits for review, and what people have decided."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def waiting(self, request: Request) -> Response:
        """Shows the results that wait for review."""
        query = request.query_params
        view = waiting_page(
            self._context, rule=query.get("rule", ""), page=page_number(query.get("page", "1"))
        )
        return render_inside("review.html.jinja", request, view)

    def decided(self, request: Request) -> Response:
        """Shows the decisions that hold."""
        query = request.query_params
        view = decided_page(
            self._context,
            rule=query.get("rule", ""),
            who=query.get("who", ""),
            page=page_number(query.get("page", "1")),
        )
        return render_inside("review_decided.html.jinja", request, view)

    def rates(self, request: Request) -> Response:
        """Shows the rates of decisions."""
        view = rates_page(self._context, **_period_and_rule(request))
        return render_inside("review_rates.html.jinja", request, view)

    def rates_csv(self, request: Request) -> Response:
        """Sends the rates of decisions as one table."""
        table = StringIO(newline="")
        lines = csv.writer(table)
        lines.writerow(_COLUMNS)
        lines.writerows(
            _line(rate) for rate in all_rates(self._context, **_period_and_rule(request))
        )
        disposition = {"Content-Disposition": f'attachment; filename="{_CSV_NAME}"'}
        return Response(table.getvalue(), media_type="text/csv", headers=disposition)


def _period_and_rule(request: Request) -> dict[str, str]:
    query = request.query_params
    return {"period": query.get("weeks", DEFAULT_PERIOD), "rule": query.get("rule", "")}


def _line(rate: Rate) -> tuple[str | int | None, ...]:
    counts = (rate.accepted, rate.rejected, rate.released, rate.decisions)
    return rate.dimension, as_text(rate.value), *counts, f"{rate.reject_rate:.4f}"

"""Adds columns that say to which object an event happened, and with which outcome.

Until then the detail of an event, which is for people, began with the destination of a delivery,
named the result that was viewed, or said that a user was locked out.
"""

from alembic import op
from sqlalchemy import Column, String, Text

revision = "0005"
down_revision = "0004"

_NAME = String(64)
# The detail of an event of a delivery was "to DESTINATION" or "to DESTINATION: REASON"; the name of
# a destination has neither a space nor a colon.
_DESTINATION = """CASE WHEN {colon} > 0 THEN substr(detail, 4, {colon} - 4)
    ELSE substr(detail, 4) END"""
_OF_DELIVERIES = f"""what IN ('delivered', 'not delivered', 'committed', 'not committed', 'dead',
    'retried') AND detail LIKE 'to %' AND ({_DESTINATION}) NOT LIKE '% %'"""
_OBJECT_KINDS = {
    "job": """what IN ('queued', 'started', 'segmented', 'held back', 'postponed', 'cancelled',
        'made urgent', 'dead', 'retried') OR (what = 'superseded' AND job_id IS NOT NULL)""",
    "delivery": _OF_DELIVERIES,
    "result": "what = 'viewed' AND detail IS NOT NULL",
    "results": "what = 'deleted' AND job_id IS NOT NULL",
    "sources": "what = 'deleted' AND job_id IS NULL",
    "conflict": "what IN ('conflict', 'conflict decided')",
    "connection": "what IN ('rejected', 'refused')",
    "session": "what IN ('logged in', 'login failed')",
    "process": "what IN ('started up', 'shut down')",
    "queue": "what IN ('paused', 'resumed')",
    "clock": "what IN ('clock jumped', 'clock confirmed')",
}
_OUTCOMES = {
    "minor failure": """what IN ('not delivered', 'not committed', 'postponed', 'login failed',
        'rejected', 'refused')""",
    "serious failure": """what = 'dead' OR (what = 'login failed'
        AND detail = 'too many attempts')""",
}
_SPLIT_DETAILS = """
    UPDATE events SET
        object_name = {destination},
        detail = CASE WHEN {colon} > 0 THEN substr(detail, {colon} + 2) ELSE NULL END
    WHERE object_kind = 'delivery'
"""


def upgrade() -> None:
    """Adds the columns, and fills those of the events that are there."""
    op.add_column("events", Column("object_kind", _NAME, nullable=False, server_default=""))
    op.add_column("events", Column("object_name", Text))
    op.add_column("events", Column("outcome", _NAME, nullable=False, server_default=""))
    op.execute("UPDATE events SET object_kind = 'study', outcome = 'success'")
    colon = _position_of_colon()
    for kind, condition in _OBJECT_KINDS.items():
        is_one = condition.replace("{colon}", colon)
        op.execute(f"UPDATE events SET object_kind = '{kind}' WHERE {is_one}")  # noqa: S608  constants
    for outcome, condition in _OUTCOMES.items():
        op.execute(f"UPDATE events SET outcome = '{outcome}' WHERE {condition}")  # noqa: S608  constants
    op.execute(_SPLIT_DETAILS.replace("{destination}", _DESTINATION).replace("{colon}", colon))
    op.execute("UPDATE events SET object_name = detail, detail = NULL WHERE object_kind = 'result'")
    op.execute("UPDATE events SET object_name = who WHERE object_kind = 'process'")


def downgrade() -> None:
    """Puts destinations and results back into the details, and removes the columns."""
    op.execute(
        """
        UPDATE events SET detail = 'to ' || object_name || coalesce(': ' || detail, '')
        WHERE object_kind = 'delivery' AND object_name IS NOT NULL
        """
    )
    op.execute("UPDATE events SET detail = object_name WHERE object_kind = 'result'")
    # Not by alembic, which would make a new table in SQLite and copy the rows.
    for column in ("outcome", "object_name", "object_kind"):
        op.execute(f"ALTER TABLE events DROP COLUMN {column}")


def _position_of_colon() -> str:
    """Returns the SQL for the position of the first colon in a detail; 0: there is none."""
    is_postgres = op.get_bind().dialect.name == "postgresql"
    return "strpos(detail, ':')" if is_postgres else "instr(detail, ':')"

"""Adds what people decide about results, the verdict on them, and deliveries of decisions."""

from alembic import op
from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

revision = "0010"
down_revision = "0009"

_NAME, _SHA256, _UID = String(64), String(64), String(64)
METADATA = MetaData()
JOBS = Table("jobs", METADATA, Column("job_id", _SHA256, primary_key=True))
DECISIONS = Table(
    "decisions",
    METADATA,
    Column("decision_id", Integer, primary_key=True, autoincrement=True),
    Column("form", _NAME, nullable=False, unique=True),
    Column("job_id", ForeignKey("jobs.job_id"), nullable=False, index=True),
    Column("run", Integer, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("who", _NAME, nullable=False),
    Column("at", Double, nullable=False, index=True),
    Column("reason", Text),
    Column("withdraws", Integer, index=True),
    Column("organization", _NAME),
    Column("rule", _NAME, nullable=False),
    Column("verdict", _NAME),
    Column("results_at", Double),
    Column("scanner", Text, nullable=False),
    Column("version", _NAME, nullable=False),
)
SUBJECTS = Table(
    "decision_subjects",
    METADATA,
    Column("decision_id", ForeignKey("decisions.decision_id"), primary_key=True),
    Column("kind", _NAME, primary_key=True),
    Column("name", String(128), primary_key=True),
)
_TABLES = (DECISIONS, SUBJECTS)
# A result whose job has a reason was to be reviewed.
_SET_VERDICTS = """
    UPDATE jobs SET verdict = CASE
        WHEN state = 'held' THEN 'reject' WHEN reason IS NULL THEN 'ok' ELSE 'review' END
    WHERE state IN ('held', 'segmented')
"""
_SET_KEY = """
    ALTER TABLE deliveries DROP CONSTRAINT deliveries_pkey, ADD PRIMARY KEY (job_id, destination{})
"""


def upgrade() -> None:
    """Makes the tables, and lets a job have several deliveries to a destination."""
    METADATA.create_all(op.get_bind(), tables=_TABLES)
    op.add_column("jobs", Column("verdict", _NAME))
    op.execute(_SET_VERDICTS)
    op.create_index("jobs_by_verdict", "jobs", ["verdict", "ended_at"])
    decision_id = Column("decision_id", Integer, nullable=False, server_default="0")
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("deliveries", decision_id)
        op.execute(_SET_KEY.format(", decision_id"))
    else:
        _rebuild(has_decisions=True)


def downgrade() -> None:
    """Removes all decisions, their deliveries and the verdicts."""
    op.execute("DELETE FROM deliveries WHERE decision_id > 0")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_SET_KEY.format(""))
        op.drop_column("deliveries", "decision_id")
    else:
        _rebuild(has_decisions=False)
    op.drop_index("jobs_by_verdict", "jobs")
    op.drop_column("jobs", "verdict")
    METADATA.drop_all(op.get_bind(), tables=_TABLES)


def _rebuild(*, has_decisions: bool) -> None:
    """Copies the deliveries into a table with another key, which SQLite can't change."""
    op.rename_table("deliveries", "earlier_deliveries")
    for name in ("state", "is_enqueued", "transaction_uid", "is_asked"):
        op.drop_index(f"ix_deliveries_{name}", "earlier_deliveries")
    table = _deliveries(has_decisions=has_decisions)
    table.create(op.get_bind())
    copied = ", ".join(column.name for column in table.c if column.name != "decision_id")
    op.execute(f"INSERT INTO deliveries ({copied}) SELECT {copied} FROM earlier_deliveries")  # noqa: S608  our own names
    op.drop_table("earlier_deliveries")


def _deliveries(*, has_decisions: bool) -> Table:
    decision_id = Column(
        "decision_id", Integer, primary_key=True, server_default="0", autoincrement=False
    )
    metadata = MetaData()
    Table("jobs", metadata, Column("job_id", _SHA256, primary_key=True))
    return Table(
        "deliveries",
        metadata,
        Column("job_id", ForeignKey("jobs.job_id"), primary_key=True),
        Column("destination", _NAME, primary_key=True),
        *([decision_id] if has_decisions else []),
        Column("state", _NAME, nullable=False, index=True),
        Column("reason", Text),
        Column("attempts", Integer, nullable=False),
        Column("run", Integer, nullable=False),
        Column("not_before", Double, nullable=False),
        Column("is_enqueued", Boolean, nullable=False, index=True),
        Column("created_at", Double, nullable=False),
        Column("delivered_at", Double),
        Column("transaction_uid", _UID, index=True),
        Column("is_asked", Boolean, nullable=False, index=True),
        Column("committed_at", Double),
    )

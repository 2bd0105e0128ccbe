"""Adds tables of alarms and of messages about them, and of what deleted rows add to counters."""

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

revision = "0009"
down_revision = "0008"

_NAME = String(64)
METADATA = MetaData()
ALARMS = Table(
    "alarms",
    METADATA,
    Column("alarm_id", Integer, primary_key=True, autoincrement=True),
    Column("kind", _NAME, nullable=False),
    Column("subject", String(200), nullable=False),
    Column("detail", Text),
    Column("begun_at", Double, nullable=False),
    Column("ended_at", Double, index=True),
    Column("is_begin_noticed", Boolean, nullable=False),
    Column("is_end_noticed", Boolean, nullable=False),
)
MESSAGES = Table(
    "alarm_messages",
    METADATA,
    Column("message_id", Integer, primary_key=True, autoincrement=True),
    Column("uid", _NAME, nullable=False),
    Column("way", _NAME, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("state", _NAME, nullable=False, index=True),
    Column("created_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("ended_at", Double),
)
NOTICES = Table(
    "alarm_notices",
    METADATA,
    Column("way", _NAME, primary_key=True),
    Column("alarm_id", ForeignKey("alarms.alarm_id"), primary_key=True),
    Column("is_end", Boolean, primary_key=True),
    Column("message_id", ForeignKey("alarm_messages.message_id"), index=True),
)
TOTALS = Table(
    "deleted_totals",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("value", Double, nullable=False),
)
_TABLES = (ALARMS, MESSAGES, NOTICES, TOTALS)

# Events from before raise no alarms. A new database has no rows.
_BEGIN_NOW = """
    INSERT INTO audited (place, event_id)
    SELECT 'alarms', max(event_id) FROM events HAVING max(event_id) IS NOT NULL
"""


def upgrade() -> None:
    """Makes the tables; only later events raise alarms."""
    METADATA.create_all(op.get_bind(), tables=_TABLES)
    op.execute(_BEGIN_NOW)


def downgrade() -> None:
    """Removes all alarms."""
    METADATA.drop_all(op.get_bind(), tables=_TABLES)
    op.execute("DELETE FROM audited WHERE place = 'alarms'")

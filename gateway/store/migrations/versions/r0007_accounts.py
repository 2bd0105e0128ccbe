"""Adds tables of the users' accounts and of their sessions.

The shared password of earlier versions is no account: it lets nobody in.
"""

from alembic import op
from sqlalchemy import Column, Double, MetaData, String, Table, Text

revision = "0007"
down_revision = "0006"

_SHA256, _NAME, _ACCOUNT_KEY = String(64), String(64), String(256)
METADATA = MetaData()
ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("account_key", _ACCOUNT_KEY, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("role", _NAME, nullable=False),
    Column("password_hash", Text),
    Column("subject", String(512), unique=True),
    Column("stamp", _NAME, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("logged_in_at", Double),
)
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("token_sha256", _SHA256, primary_key=True),
    Column("account_key", _ACCOUNT_KEY, index=True),
    Column("stamp", _NAME),
    Column("user_name", _NAME, nullable=False),
    Column("role", _NAME, nullable=False),
    Column("address", _NAME, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
)
_TABLES = (ACCOUNTS, SESSIONS)
# The earlier versions know no such events, and could not read the history.
_DELETE_EVENTS = """
    DELETE FROM events WHERE what IN ('logged out', 'account added', 'account removed',
        'role changed', 'password changed', 'sessions ended')
"""


def upgrade() -> None:
    """Makes the tables, without any account."""
    METADATA.create_all(op.get_bind(), tables=_TABLES)


def downgrade() -> None:
    """Removes all accounts and their history: the earlier version makes a shared password."""
    op.execute(_DELETE_EVENTS)
    METADATA.drop_all(op.get_bind(), tables=_TABLES)

"""Tells version 0.1.0, which reads the table `schema` alone, that this is not its layout."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Changes the number that 0.1.0 compares with its own; nothing else reads it."""
    op.execute("UPDATE schema SET version = 2")


def downgrade() -> None:
    """Changes it back."""
    op.execute("UPDATE schema SET version = 1")

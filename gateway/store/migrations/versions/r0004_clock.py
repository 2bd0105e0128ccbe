"""Adds a table with a reading of the machine's clocks, so that a jump is noticed."""

from alembic import op
from sqlalchemy import Column, Double, String

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Makes the table; the next sweep fills it."""
    op.create_table(
        "clock",
        Column("boot_id", String(64), primary_key=True),
        Column("boot_seconds", Double, nullable=False),
        Column("wall_seconds", Double, nullable=False),
        Column("jump_seconds", Double),
    )


def downgrade() -> None:
    """Removes it."""
    op.drop_table("clock")

"""Counts the arrivals of instances, and adds tables of conflicts and of instances set aside.

After a downgrade: of several contents of an instance, version 0.1.0 takes the one that came last.
"""

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
    false,
)

revision = "0003"
down_revision = "0002"

_SHA256, _UID, _NAME = String(64), String(64), String(64)
METADATA = MetaData()
Table("jobs", METADATA, Column("job_id", _SHA256, primary_key=True))
CONFLICTS = Table(
    "conflicts",
    METADATA,
    Column("conflict_id", Integer, primary_key=True, autoincrement=True),
    Column("study_instance_uid", _UID, nullable=False, index=True),
    Column("state", _NAME, nullable=False, index=True),
    Column("kinds", Text, nullable=False),
    Column("keywords", Text, nullable=False),
    Column("found_at", Double, nullable=False),
    Column("decided_at", Double),
    Column("decided_by", _NAME),
)
SET_ASIDE = Table(
    "set_aside",
    METADATA,
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("sha256", _SHA256, primary_key=True),
    Column("study_instance_uid", _UID, nullable=False, index=True),
    Column("reason", _NAME, nullable=False),
    Column("conflict_id", Integer, index=True),
)
REPLACED_RESULTS = Table(
    "replaced_results",
    METADATA,
    Column("job_id", ForeignKey("jobs.job_id"), primary_key=True),
    Column("destination", _NAME, primary_key=True),
    Column("replaced_at", Double, nullable=False),
    Column("new_job_id", _SHA256, index=True),
    Column("is_note_alone", Boolean, nullable=False, server_default=false()),
)
_TABLES = (CONFLICTS, SET_ASIDE, REPLACED_RESULTS)

_COUNT_ARRIVALS = """
    UPDATE instances SET arrival = counted.number
    FROM (
        SELECT sop_instance_uid, sha256, row_number() OVER (
            PARTITION BY study_instance_uid ORDER BY received_at, sop_instance_uid, sha256
        ) AS number
        FROM instances
    ) AS counted
    WHERE counted.sop_instance_uid = instances.sop_instance_uid
        AND counted.sha256 = instances.sha256
"""
# The last of the instances of a job, of which the one layout has the moment, the other the number.
_TRANSLATE_JOBS = """
    UPDATE jobs SET content_until = coalesce(
        (
            SELECT max(instances.{new}) FROM instances
            WHERE instances.study_instance_uid = jobs.study_instance_uid
                AND instances.{old} <= jobs.content_until
        ),
        jobs.content_until
    )
"""


def upgrade() -> None:
    """Numbers the instances of each study by the moments in which they came."""
    number = Column("arrival", Integer, nullable=False, server_default="0")
    op.add_column("instances", number)
    op.execute(_COUNT_ARRIVALS)
    op.execute(_TRANSLATE_JOBS.format(new="arrival", old="received_at"))
    METADATA.create_all(op.get_bind(), tables=_TABLES)


def downgrade() -> None:
    """Forgets arrivals and conflicts; what was set aside is part of its study again."""
    METADATA.drop_all(op.get_bind(), tables=_TABLES)
    op.execute(_TRANSLATE_JOBS.format(new="received_at", old="arrival"))
    # Not by alembic, which would make a new table in SQLite and copy the rows.
    op.execute("ALTER TABLE instances DROP COLUMN arrival")

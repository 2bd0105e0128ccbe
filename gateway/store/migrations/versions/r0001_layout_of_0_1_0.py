"""The layout of version 0.1.0, as it was: the tables are not those of gateway/store/schema.py."""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
)

revision = "0001"
down_revision = None

SCHEMA_VERSION = 1

_SHA256, _UID, _NAME = String(64), String(64), String(64)

METADATA = MetaData()

SCHEMA = Table("schema", METADATA, Column("version", Integer, primary_key=True))

# What was received.
INSTANCES = Table(
    "instances",
    METADATA,
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("sha256", _SHA256, primary_key=True),
    Column("sop_class_uid", _UID, nullable=False),
    Column("study_instance_uid", _UID, nullable=False, index=True),
    Column("series_instance_uid", _UID, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sender", _NAME, nullable=False),
    Column("transfer", _NAME, nullable=False),
    Column("received_at", Double, nullable=False),
)
Index("instances_of_transfer", INSTANCES.c.transfer)
Table(
    "transfers",
    METADATA,
    Column("transfer", _NAME, primary_key=True),
    Column("ended_at", Double, nullable=False),
    Column("is_whole", Boolean, nullable=False),
)
STUDIES = Table(
    "studies",
    METADATA,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("n_instances", Integer, nullable=False),
    Column("n_passed_on", Integer, nullable=False),
    Column("last_received_at", Double, nullable=False),
)
Index("growing", STUDIES.c.n_instances - STUDIES.c.n_passed_on)
Index("studies_by_age", STUDIES.c.last_received_at)
# Studies whose sources are deleted on record, while their files are being removed.
Table(
    "leaving",
    METADATA,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("since", Double, nullable=False),
    Column("moved_at", Double),
)
# Polled servers, and their studies of which nothing is missing here.
Table(
    "polled",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("begun_at", Double, nullable=False),
)
Table(
    "polled_studies",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("study", _NAME, primary_key=True),
    Column("version", _NAME, nullable=False),
)

# What is made of it.
JOBS = Table(
    "jobs",
    METADATA,
    Column("job_id", _SHA256, primary_key=True),
    Column("study_instance_uid", _UID, nullable=False, index=True),
    Column("rule", _NAME, nullable=False),
    Column("sender", _NAME, nullable=False),
    Column("content_digest", _SHA256, nullable=False),
    Column("content_until", Double, nullable=False),
    Column("n_images", Integer, nullable=False),
    Column("is_urgent", Boolean, nullable=False),
    Column("application", Text, nullable=False),
    Column("destinations", Text, nullable=False),
    Column("state", _NAME, nullable=False, index=True),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False),
    Column("run", Integer, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("is_enqueued", Boolean, nullable=False, index=True),
    Column("created_at", Double, nullable=False, index=True),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("worker", _NAME),
    Column("stage", _NAME),
    Column("tiles_done", Integer),
    Column("tiles", Integer),
)
Table(
    "results",
    METADATA,
    Column("job_id", ForeignKey(JOBS.c.job_id), primary_key=True),
    Column("path", String(512), primary_key=True),
    Column("kind", _NAME, nullable=False),
    Column("sop_instance_uid", _UID, index=True),
)
Table(
    "deliveries",
    METADATA,
    Column("job_id", ForeignKey(JOBS.c.job_id), primary_key=True),
    Column("destination", _NAME, primary_key=True),
    Column("state", _NAME, nullable=False, index=True),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False),
    Column("run", Integer, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("is_enqueued", Boolean, nullable=False, index=True),
    Column("created_at", Double, nullable=False),
    Column("delivered_at", Double),
    Column("transaction_uid", _UID, index=True),
    Column("is_asked", Boolean, nullable=False, default=False, index=True),
    Column("committed_at", Double),
)

# Requests of senders for storage commitment that have no report yet.
Table(
    "promises",
    METADATA,
    Column("transaction_uid", _UID, primary_key=True),
    Column("sender", _NAME, primary_key=True),
    Column("address", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("instances", Text, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Double, nullable=False),
)

# What happened (gateway/store/events.py).
EVENTS = Table(
    "events",
    METADATA,
    Column("event_id", Integer, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("study_instance_uid", _UID, index=True),
    Column("job_id", _SHA256),
    Column("what", _NAME, nullable=False),
    Column("who", _NAME),
    Column("detail", Text),
    Column("address", _NAME),
    Column("transfer", _NAME, index=True),
)
Index("events_by_time", EVENTS.c.at)
# How far the audit trail was written to each place.
Table(
    "audited",
    METADATA,
    Column("place", _NAME, primary_key=True),
    Column("event_id", Integer, nullable=False),
)
Table(
    "workers",
    METADATA,
    Column("worker", _NAME, primary_key=True),
    Column("device", _NAME, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("job_id", _SHA256),
)
Table(
    "controls",
    METADATA,
    Column("is_paused", Boolean, nullable=False),
    Column("is_draining", Boolean, nullable=False),
)


def upgrade() -> None:
    """Makes all tables."""
    METADATA.create_all(op.get_bind())
    op.execute(insert(SCHEMA).values(version=SCHEMA_VERSION))


def downgrade() -> None:
    """Removes all tables."""
    METADATA.drop_all(op.get_bind())

"""Describes the tables of the gateway's database, all of them.

A change of them needs a migration in gateway/store/migrations as well.
"""

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
)

# The newest migration in gateway/store/migrations/versions.
LAYOUT = "0010"

# PS3.5 9.1
UID_CHARACTERS = 64
_SHA256, _UID, _NAME = String(64), String(UID_CHARACTERS), String(64)
_ACCOUNT_KEY = String(256)

METADATA = MetaData()

# Only version 0.1.0 reads it, and refuses a layout that is not its own.
SCHEMA = Table("schema", METADATA, Column("version", Integer, primary_key=True))

# Instances, transfers and studies that were received.
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
    # Grows with each instance of the study that comes, and depends on no clock. 0: it came before
    # arrivals were counted.
    Column("arrival", Integer, nullable=False, server_default="0"),
)
Index("instances_of_transfer", INSTANCES.c.transfer)
TRANSFERS = Table(
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
    # How many instances there were when its attributes were read; see study_index.py.
    Column("n_indexed", Integer, nullable=False, server_default="0"),
)
Index("growing", STUDIES.c.n_instances - STUDIES.c.n_passed_on)
Index("not_indexed", STUDIES.c.n_instances - STUDIES.c.n_indexed)
Index("studies_by_age", STUDIES.c.last_received_at)
# The attributes by which users find a study; deleted with its last file.
STUDY_ATTRIBUTES = Table(
    "study_attributes",
    METADATA,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("patient_name", Text, nullable=False),
    Column("patient_id", Text, nullable=False),
    Column("accession_number", Text, nullable=False),
    Column("study_date", _NAME, nullable=False),
    Column("description", Text, nullable=False),
    Column("modalities", Text, nullable=False),
    # The words of name and Patient ID, and the accession number, as they are searched for.
    Column("patient_words", Text, nullable=False),
    Column("accession_words", Text, nullable=False),
)
Index(
    "study_attributes_by_date",
    STUDY_ATTRIBUTES.c.study_date,
    STUDY_ATTRIBUTES.c.study_instance_uid,
)
# Studies whose instances contradict each other, and the decisions of users.
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
# Instances that are stored but are not part of their study.
SET_ASIDE = Table(
    "set_aside",
    METADATA,
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("sha256", _SHA256, primary_key=True),
    Column("study_instance_uid", _UID, nullable=False, index=True),
    Column("reason", _NAME, nullable=False),
    Column("conflict_id", Integer, index=True),
)
# Studies whose sources are deleted on record, while their files are being removed.
LEAVING = Table(
    "leaving",
    METADATA,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("since", Double, nullable=False),
    Column("moved_at", Double),
)
# Polled servers, and their studies of which nothing is missing here.
POLLED = Table(
    "polled",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("begun_at", Double, nullable=False),
)
POLLED_STUDIES = Table(
    "polled_studies",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("study", _NAME, primary_key=True),
    Column("version", _NAME, nullable=False),
)

# Jobs, results and deliveries.
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
    # Of quality control; None: there are no results yet.
    Column("verdict", _NAME),
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
Index("jobs_by_end", JOBS.c.state, JOBS.c.ended_at)
Index("jobs_by_verdict", JOBS.c.verdict, JOBS.c.ended_at)
RESULTS = Table(
    "results",
    METADATA,
    Column("job_id", ForeignKey(JOBS.c.job_id), primary_key=True),
    Column("path", String(512), primary_key=True),
    Column("kind", _NAME, nullable=False),
    Column("sop_instance_uid", _UID, index=True),
)
DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("job_id", ForeignKey(JOBS.c.job_id), primary_key=True),
    Column("destination", _NAME, primary_key=True),
    # The decision whose objects are delivered; 0: the results of the job are.
    Column("decision_id", Integer, primary_key=True, server_default="0", autoincrement=False),
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
# The last test of each destination.
DESTINATION_STATES = Table(
    "destination_states",
    METADATA,
    Column("destination", _NAME, primary_key=True),
    Column("tested_at", Double, nullable=False),
    # None: it answers.
    Column("fault", Text),
    # Since when it answers, or does not.
    Column("since", Double, nullable=False),
    Column("answered_at", Double),
)
# Results that were delivered, or may have been, and are rejected there, because another content of
# the study was taken. The delivery of the same job to the destination sends the note of rejection.
REPLACED_RESULTS = Table(
    "replaced_results",
    METADATA,
    Column("job_id", ForeignKey(JOBS.c.job_id), primary_key=True),
    Column("destination", _NAME, primary_key=True),
    Column("replaced_at", Double, nullable=False),
)

# What people decided about results. Rows are only added.
DECISIONS = Table(
    "decisions",
    METADATA,
    Column("decision_id", Integer, primary_key=True, autoincrement=True),
    # Of the form that was sent: a form that is sent again decides once.
    Column("form", _NAME, nullable=False, unique=True),
    Column("job_id", ForeignKey(JOBS.c.job_id), nullable=False, index=True),
    # The run of the job that made the results.
    Column("run", Integer, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("who", _NAME, nullable=False),
    Column("at", Double, nullable=False, index=True),
    Column("reason", Text),
    # The decision that this one withdraws.
    Column("withdraws", Integer, index=True),
    # Who vouches for the verified report; None: the decision verifies none.
    Column("organization", _NAME),
    # What the decision was about, as it was then.
    Column("rule", _NAME, nullable=False),
    Column("verdict", _NAME),
    Column("results_at", Double),
    Column("scanner", Text, nullable=False),
    Column("version", _NAME, nullable=False),
)
# The structures that a person found wrong, and the codes of the findings of quality control.
DECISION_SUBJECTS = Table(
    "decision_subjects",
    METADATA,
    Column("decision_id", ForeignKey(DECISIONS.c.decision_id), primary_key=True),
    Column("kind", _NAME, primary_key=True),
    Column("name", String(128), primary_key=True),
)

# Requests of senders for storage commitment that have no report yet.
COMMITMENT_REQUESTS = Table(
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

# Events (gateway/store/events.py).
EVENTS = Table(
    "events",
    METADATA,
    Column("event_id", Integer, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("study_instance_uid", _UID, index=True),
    Column("job_id", _SHA256),
    Column("what", _NAME, key="kind", nullable=False),
    Column("who", _NAME),
    Column("detail", Text),
    Column("address", _NAME),
    Column("transfer", _NAME, index=True),
    Column("object_kind", _NAME, nullable=False, server_default=""),
    Column("object_name", Text),
    Column("outcome", _NAME, nullable=False, server_default=""),
)
Index("events_by_time", EVENTS.c.at)
# How far the audit trail was written to each place, and how far alarms were raised by events.
AUDITED = Table(
    "audited",
    METADATA,
    Column("place", _NAME, primary_key=True),
    Column("event_id", Integer, nullable=False),
)
# Faults of which operators are told (gateway/store/alarms.py); one row from its begin to its end.
ALARMS = Table(
    "alarms",
    METADATA,
    Column("alarm_id", Integer, primary_key=True, autoincrement=True),
    Column("kind", _NAME, nullable=False),
    Column("subject", String(200), nullable=False),
    Column("detail", Text),
    Column("begun_at", Double, nullable=False),
    Column("ended_at", Double, index=True),
    # Whether each way has a notice of the begin, and of the end.
    Column("is_begin_noticed", Boolean, nullable=False),
    Column("is_end_noticed", Boolean, nullable=False),
)
# Messages about alarms of one kind, each to be sent by one way.
ALARM_MESSAGES = Table(
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
# The begin or end of an alarm, which a way has to tell; a message gathers several.
ALARM_NOTICES = Table(
    "alarm_notices",
    METADATA,
    Column("way", _NAME, primary_key=True),
    Column("alarm_id", ForeignKey(ALARMS.c.alarm_id), primary_key=True),
    Column("is_end", Boolean, primary_key=True),
    Column("message_id", ForeignKey(ALARM_MESSAGES.c.message_id), index=True),
)
WORKERS = Table(
    "workers",
    METADATA,
    Column("worker", _NAME, primary_key=True),
    Column("device", _NAME, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("job_id", _SHA256),
)
# What deleted rows add to the counters of /metrics, which must not fall.
DELETED_TOTALS = Table(
    "deleted_totals",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("value", Double, nullable=False),
)
# The last reading of the clocks: one row.
CLOCK = Table(
    "clock",
    METADATA,
    Column("boot_id", _NAME, primary_key=True),
    Column("boot_seconds", Double, nullable=False),
    Column("wall_seconds", Double, nullable=False),
    Column("jump_seconds", Double),
)
# The accounts of users, and their sessions.
ACCOUNTS = Table(
    "accounts",
    METADATA,
    # The name without regard to case.
    Column("account_key", _ACCOUNT_KEY, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("role", _NAME, nullable=False),
    # Empty where a provider of OpenID Connect logs the user in.
    Column("password_hash", Text),
    # The issuer and the subject of that provider, which never change.
    Column("subject", String(512), unique=True),
    # Changes whenever all sessions of the account end.
    Column("stamp", _NAME, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("logged_in_at", Double),
)
SESSIONS = Table(
    "sessions",
    METADATA,
    # The SHA-256 of the token, which only the browser has.
    Column("token_sha256", _SHA256, primary_key=True),
    # Empty where a reverse proxy has named the user.
    Column("account_key", _ACCOUNT_KEY, index=True),
    Column("stamp", _NAME),
    Column("user_name", _NAME, nullable=False),
    Column("role", _NAME, nullable=False),
    Column("address", _NAME, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
)
CONTROLS = Table(
    "controls",
    METADATA,
    Column("is_paused", Boolean, nullable=False),
    Column("is_draining", Boolean, nullable=False),
)

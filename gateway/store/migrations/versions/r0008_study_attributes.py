"""Adds the attributes by which users find a study, and the last test of each destination.

The attributes of studies that are stored already are read later, in batches
(gateway/dispatch/study_indexing.py), so that a start takes no longer the more is stored.
"""

from alembic import op
from sqlalchemy import Column, Double, Integer, String, Text

revision = "0008"
down_revision = "0006"

_NAME, _UID = String(64), String(64)


def upgrade() -> None:
    """Makes the tables, and marks every study as one whose attributes are not read yet."""
    op.add_column("studies", Column("n_indexed", Integer, nullable=False, server_default="0"))
    op.execute("CREATE INDEX not_indexed ON studies ((n_instances - n_indexed))")
    op.create_table(
        "study_attributes",
        Column("study_instance_uid", _UID, primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("patient_name", "patient_id")),
        Column("accession_number", Text, nullable=False),
        Column("study_date", _NAME, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("description", "modalities")),
        *(Column(name, Text, nullable=False) for name in ("patient_words", "accession_words")),
    )
    op.create_index(
        "study_attributes_by_date", "study_attributes", ["study_date", "study_instance_uid"]
    )
    op.create_index("jobs_by_end", "jobs", ["state", "ended_at"])
    op.create_table(
        "destination_states",
        Column("destination", _NAME, primary_key=True),
        Column("tested_at", Double, nullable=False),
        Column("fault", Text),
        Column("since", Double, nullable=False),
        Column("answered_at", Double),
    )


def downgrade() -> None:
    """Removes them."""
    op.drop_table("destination_states")
    op.drop_index("jobs_by_end", "jobs")
    op.drop_table("study_attributes")
    op.drop_index("not_indexed", "studies")
    # Not by alembic, which would make a new table in SQLite and copy the rows.
    op.execute("ALTER TABLE studies DROP COLUMN n_indexed")

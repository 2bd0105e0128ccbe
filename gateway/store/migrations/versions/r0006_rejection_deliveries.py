"""Has a delivery of the replaced results send the note that rejects them.

Before, a delivery of the job that replaced them sent the note together with the new results.
"""

import time

from alembic import op
from sqlalchemy import text

revision = "0006"
down_revision = "0005"

# Notes that no destination has yet.
_OPEN = """
    SELECT job_id, destination FROM replaced_results WHERE NOT EXISTS (
        SELECT 1 FROM deliveries
        WHERE deliveries.job_id = replaced_results.new_job_id
            AND deliveries.destination = replaced_results.destination
            AND deliveries.state IN ('delivered', 'committed')
    )
"""
# Deliveries that would have sent the note and nothing else.
_DELETE_NOTES_ALONE = """
    DELETE FROM deliveries WHERE state IN ('waiting', 'dead') AND EXISTS (
        SELECT 1 FROM replaced_results
        WHERE replaced_results.new_job_id = deliveries.job_id
            AND replaced_results.destination = deliveries.destination
            AND replaced_results.is_note_alone
    )
"""
_DELETE_DELIVERY = "DELETE FROM deliveries WHERE job_id = :job_id AND destination = :destination"
_OPEN_DELIVERY = """
    INSERT INTO deliveries (
        job_id, destination, state, attempts, run, not_before, is_enqueued, created_at, is_asked
    ) VALUES (:job_id, :destination, 'waiting', 0, :run, 0.0, :no, :now, :no)
"""
_RUN = "SELECT run FROM deliveries WHERE job_id = :job_id AND destination = :destination"
# The earlier layout would send the rejected results again.
_END_REJECTIONS = """
    UPDATE deliveries SET state = 'dead', reason = :reason
    WHERE state = 'waiting' AND EXISTS (
        SELECT 1 FROM replaced_results
        WHERE replaced_results.job_id = deliveries.job_id
            AND replaced_results.destination = deliveries.destination
    )
"""


def upgrade() -> None:
    """Opens a delivery for each note that has not been delivered."""
    connection, now = op.get_bind(), time.time()
    for job_id, destination in connection.execute(text(_OPEN)).all():
        key = {"job_id": job_id, "destination": destination}
        run = connection.execute(text(_RUN), key).scalar() or 0
        connection.execute(text(_DELETE_DELIVERY), key)
        row = {**key, "run": run + 1, "now": now, "no": False}
        connection.execute(text(_OPEN_DELIVERY), row)
    op.execute(_DELETE_NOTES_ALONE)
    op.execute("DROP INDEX IF EXISTS ix_replaced_results_new_job_id")
    # Not by alembic, which would make a new table in SQLite and copy the rows.
    op.execute("ALTER TABLE replaced_results DROP COLUMN new_job_id")
    op.execute("ALTER TABLE replaced_results DROP COLUMN is_note_alone")


def downgrade() -> None:
    """Ends what still waits: the results have to be rejected at the destination by hand."""
    reason = "the results were replaced: reject them at the destination by hand"
    op.get_bind().execute(text(_END_REJECTIONS), {"reason": reason})
    op.execute("ALTER TABLE replaced_results ADD COLUMN new_job_id VARCHAR(64)")
    op.execute(
        "ALTER TABLE replaced_results ADD COLUMN is_note_alone BOOLEAN DEFAULT FALSE NOT NULL"
    )
    op.execute("CREATE INDEX ix_replaced_results_new_job_id ON replaced_results (new_job_id)")

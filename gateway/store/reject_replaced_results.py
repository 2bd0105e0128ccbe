"""Has results rejected at their destinations after a person took another content of the study.

The note is sent at once, because the new results may fail or have other destinations.
"""

import time

from sqlalchemy import Connection, delete, or_, select, update

from gateway.store.deliveries import DeliveryState, is_rejection
from gateway.store.schema import DELIVERIES, JOBS, REPLACED_RESULTS


def reject_delivered_results(connection: Connection, study_instance_uid: str) -> None:
    """Opens a delivery of the note for each destination that has results, or a part of them.

    Deliveries that have sent nothing yet are deleted.

    Args:
        connection: In the transaction that takes the other content.
        study_instance_uid: The study.
    """
    jobs = select(JOBS.c.job_id).where(JOBS.c.study_instance_uid == study_instance_uid)
    of_study = DELIVERIES.c.job_id.in_(jobs)
    of_results = DELIVERIES.c.decision_id == 0
    is_sent = or_(
        DELIVERIES.c.state.in_((DeliveryState.DELIVERED, DeliveryState.COMMITTED)),
        DELIVERIES.c.attempts > 0,
        DELIVERIES.c.delivered_at.is_not(None),
    )
    sent = select(DELIVERIES.c.job_id, DELIVERIES.c.destination).where(
        of_study, of_results, is_sent, ~is_rejection()
    )
    now = time.time()
    for job_id, destination in connection.execute(sent).all():
        row = {"job_id": job_id, "destination": destination, "replaced_at": now}
        connection.execute(REPLACED_RESULTS.insert().values(row))
        connection.execute(
            update(DELIVERIES)
            .where(
                DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == destination, of_results
            )
            .values(
                state=DeliveryState.WAITING,
                reason=None,
                attempts=0,
                run=DELIVERIES.c.run + 1,
                not_before=0.0,
                is_enqueued=False,
                created_at=now,
                delivered_at=None,
                transaction_uid=None,
                is_asked=False,
                committed_at=None,
            )
        )
    is_open = DELIVERIES.c.state.in_((DeliveryState.WAITING, DeliveryState.DEAD))
    connection.execute(delete(DELIVERIES).where(of_study, is_open, ~is_rejection()))

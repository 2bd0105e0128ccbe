"""Makes results and decisions about them, as the gateway's own processes do."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import update

from gateway.store.database import Database
from gateway.store.decision import DecisionKind, NewDecision
from gateway.store.decisions import DecisionList
from gateway.store.deliveries import DeliveryList
from gateway.store.job import Destinations, Judgement, KeptResult, NewJob
from gateway.store.jobs import JobList
from gateway.store.ledger import GrowingStudy
from gateway.store.schema import DECISIONS, JOBS
from totalmap.finding import Verdict

SEG = KeptResult(path="results/seg.dcm", kind="seg", sop_instance_uid=None)
# Long ago; seconds since 1970.
RESULTS_AT = 1.0e9


@dataclass(frozen=True, slots=True)
class ReviewedResults:
    """Results in a database, each with a study of its own."""

    database: Database

    def make(
        self,
        job_id: str,
        verdict: Verdict = Verdict.REVIEW,
        *,
        rule: str = "ct",
        study: str = "",
        at: float = RESULTS_AT,
    ) -> str:
        """Makes results with a verdict; those that are rejected are held back.

        Returns:
            The ID of the job.
        """
        jobs, uid = JobList(self.database), study or f"1.{job_id}"
        growing = GrowingStudy(
            study_instance_uid=uid, n_instances=1, last_received_at=at, transfers_ended_at=None
        )
        assert jobs.open(growing, [_new_job(job_id, uid, rule)], "") == [job_id]
        self.run(job_id, verdict, at)
        return job_id

    def run(self, job_id: str, verdict: Verdict = Verdict.REVIEW, at: float = RESULTS_AT) -> None:
        """Runs a job that is queued."""
        jobs = JobList(self.database)
        job = jobs.job(job_id)
        assert job is not None
        assert jobs.begin(job_id, job.run, "box-1") is not None
        is_held = verdict is Verdict.REJECT
        judgement = Judgement(verdict=verdict, reasons=("data",), is_held=is_held)
        assert jobs.succeed(job_id, [SEG], judgement=judgement)
        with self.database.transaction() as connection:
            of_job = JOBS.c.job_id == job_id
            connection.execute(update(JOBS).where(of_job).values(ended_at=at))

    def decide(
        self, job_id: str, kind: DecisionKind, at: float = RESULTS_AT + 60, **fields: Any
    ) -> None:
        """Decides about results after all decisions that there are."""
        decisions, job = DecisionList(self.database), JobList(self.database).job(job_id)
        assert job is not None
        before = decisions.of_job(job_id)
        new = NewDecision(
            form=uuid4().hex,
            job_id=job_id,
            run=job.run,
            kind=kind,
            seen=before[-1].decision_id if before else 0,
            **{"who": "eva", "reason": "data", **fields},
        )
        assert decisions.decide(new)
        with self.database.transaction() as connection:
            of_form = DECISIONS.c.form == new.form
            connection.execute(update(DECISIONS).where(of_form).values(at=at))

    def deliver(self, job_id: str) -> None:
        """Delivers what is open of a job: its results, then the decisions on them."""
        deliveries = DeliveryList(self.database)
        while waiting := [each for each in deliveries.unqueued() if each.job_id == job_id]:
            for delivery in waiting:
                assert deliveries.delivered(delivery)


def _new_job(job_id: str, study: str, rule: str) -> NewJob:
    return NewJob(
        job_id=job_id,
        study_instance_uid=study,
        rule=rule,
        sender="CT1",
        content_digest=job_id,
        content_until=1.0,
        n_images=40,
        is_urgent=False,
        application={},
        destinations=Destinations.for_every_verdict("pacs"),
    )

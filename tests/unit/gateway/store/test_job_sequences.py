"""Tests the list of jobs with random sequences of actions, against a model of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from gateway.store.database import Database
from gateway.store.deliveries import DeliveryList
from gateway.store.events import EventKind, history
from gateway.store.job import (
    NO_DOUBT,
    UNFINISHED,
    Job,
    JobState,
    KeptResult,
    NewJob,
)
from gateway.store.jobs import JobList
from tests.unit.gateway.store.test_jobs import (
    NEW,
    REJECTED,
    REPORT,
    SEG,
    STUDY,
    stand,
)


@dataclass
class Model:
    """The expected state of a job."""

    new: NewJob
    state: JobState = JobState.QUEUED
    attempts: int = 0
    run: int = 1
    is_urgent: bool = False
    not_before: float = 0.0
    reason: str | None = None
    is_enqueued: bool = False
    results: Sequence[KeptResult] = ()
    events: list[EventKind] = field(default_factory=lambda: [EventKind.QUEUED])

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED

    def end(self, state: JobState, what: EventKind, reason: str | None) -> None:
        self.state, self.reason = state, reason
        self.events.append(what)

    def queue_anew(self, what: EventKind | None, reason: str | None = None) -> None:
        self.state, self.reason = JobState.QUEUED, reason
        self.run += 1
        self.is_enqueued = False
        if what:
            self.events.append(what)


RULES = ("ct", "lungs")
CONTENTS = ("x", "y")


class Jobs(RuleBasedStateMachine):
    """Two rules on a study whose content changes, and a queue that forgets nothing and repeats."""

    opened = Bundle("opened")
    snapshots = Bundle("snapshots")

    def __init__(self) -> None:
        super().__init__()
        self.database = Database("sqlite://")
        self.jobs = JobList(self.database)
        self.models: dict[str, Model] = {}
        self.put: set[tuple[str, int]] = set()

    @initialize(target=opened)
    def one_job(self) -> str:
        return self._open("ct", "x")

    @rule(target=opened, name=st.sampled_from(RULES), content=st.sampled_from(CONTENTS))
    def open(self, name: str, content: str) -> str:
        return self._open(name, content)

    def _open(self, name: str, content: str) -> str:
        new = replace(NEW, job_id=f"{name}-{content}", rule=name, content_digest=content)
        is_new = new.job_id not in self.models
        assert self.jobs.open(STUDY, [new], "") == [new.job_id] * is_new
        if is_new:
            for model in self.models.values():
                if model.new.rule == name and model.is_unfinished:
                    model.end(JobState.SUPERSEDED, EventKind.SUPERSEDED, "the study has grown")
            self.models[new.job_id] = Model(new)
        return new.job_id

    @rule()
    def put_into_queue(self) -> None:
        for job in self.jobs.unqueued():
            self.put.add((job.job_id, job.run))
            self.jobs.enqueued(job)
            self.models[job.job_id].is_enqueued = True

    @rule(job_id=opened, behind=st.sampled_from([0, 0, 1]))
    def begin(self, job_id: str, behind: int) -> None:
        """An entry may come a second time, after a crash, and when it is stale."""
        self.put_into_queue()
        runs = sorted(run for key, run in self.put if key == job_id)
        if not runs:
            return
        run = runs[max(len(runs) - 1 - behind, 0)]
        model = self.models[job_id]
        job = self.jobs.begin(job_id, run, "host-1")
        assert (job is not None) == (model.is_unfinished and model.run == run)
        if job is not None:
            model.attempts += 1
            model.state, model.reason = JobState.RUNNING, None
            model.events.append(EventKind.STARTED)
            assert job == self.jobs.job(job_id)

    @rule(job_id=opened)
    def progress(self, job_id: str) -> None:
        self.jobs.progress(job_id, "segment", 1, 2)

    @rule(
        job_id=opened, results=st.sampled_from([(), (SEG,), (REPORT, SEG)]), is_held=st.booleans()
    )
    def succeed(self, job_id: str, results: Sequence[KeptResult], is_held: bool) -> None:
        model = self.models[job_id]
        judgement = replace(REJECTED, is_held=True) if is_held else NO_DOUBT
        assert self.jobs.succeed(job_id, results, judgement=judgement) == model.is_unfinished
        if model.is_unfinished:
            state = JobState.HELD if is_held else JobState.SEGMENTED
            model.end(state, EventKind.SEGMENTED, judgement.summary)
            model.events += [EventKind.HELD] * is_held
            model.results = results

    @rule(job_id=opened)
    def die(self, job_id: str) -> None:
        model = self.models[job_id]
        assert self.jobs.die(job_id, "hopeless") == model.is_unfinished
        if model.is_unfinished:
            model.end(JobState.DEAD, EventKind.DEAD, "hopeless")

    @rule(job_id=opened)
    def cancel(self, job_id: str) -> None:
        model = self.models[job_id]
        assert self.jobs.cancel(job_id, "anna") == model.is_unfinished
        if model.is_unfinished:
            model.end(JobState.CANCELLED, EventKind.CANCELLED, "cancelled by anna")

    @rule(job_id=opened, is_attempt=st.booleans(), is_begun=st.booleans())
    def postpone(self, job_id: str, is_attempt: bool, is_begun: bool) -> None:
        if is_begun:
            self.begin(job_id, 0)
        model = self.models[job_id]
        runs = model.state is JobState.RUNNING
        assert self.jobs.postpone(job_id, "full", 7.0, is_attempt=is_attempt) == runs
        if runs:
            model.attempts -= not is_attempt
            model.not_before = 7.0
            model.queue_anew(EventKind.POSTPONED, "full")

    @rule(job_id=opened)
    def retry(self, job_id: str) -> None:
        model = self.models[job_id]
        of_rule = [key for key, one in self.models.items() if one.new.rule == model.new.rule]
        ended = model.state in (JobState.DEAD, JobState.HELD, JobState.CANCELLED)
        is_to_do = ended and job_id == of_rule[-1]  # a newer one has its place
        assert self.jobs.retry(job_id, "anna") == is_to_do
        if is_to_do:
            model.attempts, model.not_before, model.results = 0, 0.0, ()
            model.queue_anew(EventKind.RETRIED)

    @rule(job_id=opened)
    def make_urgent(self, job_id: str) -> None:
        model = self.models[job_id]
        waits = model.state is JobState.QUEUED
        assert self.jobs.make_urgent(job_id, "anna") == waits
        if waits:
            model.is_urgent, model.not_before = True, 0.0
            model.queue_anew(EventKind.MADE_URGENT)

    @rule(target=snapshots, job_id=opened)
    def look(self, job_id: str) -> Job:
        return stand(self.jobs, job_id)

    @rule(job=snapshots)
    def forgotten(self, job: Job) -> None:
        """The sweep says so of a job as it was when it looked."""
        self.jobs.forgotten(job)
        model = self.models[job.job_id]
        if model.is_unfinished and model.run == job.run:
            model.queue_anew(None, model.reason)

    @rule(job=snapshots)
    def enqueued_late(self, job: Job) -> None:
        """The dispatcher says so of a job as it was when it put it."""
        if (job.job_id, job.run) in self.put:
            self.jobs.enqueued(job)
            model = self.models[job.job_id]
            model.is_enqueued |= model.run == job.run

    @invariant()
    def all_stand_as_they_have_to(self) -> None:
        standing = {job.job_id: job for job in self.jobs.jobs()}
        assert standing.keys() == self.models.keys()
        for job_id, model in self.models.items():
            job = standing[job_id]
            assert (job.state, job.attempts, job.run) == (model.state, model.attempts, model.run)
            assert (job.is_urgent, job.not_before) == (model.is_urgent, model.not_before)
            assert job.reason == model.reason
            assert (job.ended_at is None) == model.is_unfinished

    @invariant()
    def nothing_is_lost(self) -> None:
        """What is not done will be put into the queue, or is there under its run."""
        to_be_put = {delivery.job_id for delivery in self.jobs.unqueued()}
        in_queue = {item.job_id for item in self.jobs.unfinished()}
        unfinished = {key for key, one in self.models.items() if one.is_unfinished}
        assert to_be_put | in_queue == unfinished
        assert not to_be_put & in_queue
        for job_id in in_queue:
            assert (job_id, self.models[job_id].run) in self.put

    @invariant()
    def only_the_newest_content_of_a_rule_waits(self) -> None:
        for name in RULES:
            of_rule = [model for model in self.models.values() if model.new.rule == name]
            assert not any(item.is_unfinished for item in of_rule[:-1])

    @invariant()
    def the_events_tell_the_story(self) -> None:
        events = history(self.database, STUDY.study_instance_uid)
        for job_id, model in self.models.items():
            assert [event.kind for event in events if event.job_id == job_id] == model.events

    def teardown(self) -> None:
        deliveries = DeliveryList(self.database)
        for job_id, model in self.models.items():
            assert set(self.jobs.results(job_id)) == set(model.results)
            is_done = model.state is JobState.SEGMENTED
            destinations = {delivery.destination for delivery in deliveries.of_job(job_id)}
            assert destinations == (set(NEW.destinations.ok) if is_done else set())
        self.database.close()


TestJobs = Jobs.TestCase
TestJobs.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

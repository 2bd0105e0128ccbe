"""Makes the rows of a gateway with many jobs, for benchmarks/dashboard.py."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Table

from gateway.store.decision import DecisionKind
from gateway.store.decisions import SubjectKind
from gateway.store.deliveries import DeliveryState
from gateway.store.events import EventKind, ObjectKind, Outcome
from gateway.store.job import JobState
from gateway.store.schema import (
    DECISION_SUBJECTS,
    DECISIONS,
    DELIVERIES,
    EVENTS,
    INSTANCES,
    JOBS,
    RESULTS,
    STUDIES,
    STUDY_ATTRIBUTES,
)
from gateway.store.search_words import search_words
from totalmap.finding import Verdict

BEGUN_AT = 1.7e9
CT = "1.2.840.10008.5.1.4.1.1.2"
FAMILIES = ("Müller", "Schmidt", "Nowak", "García", "Dubois", "Rossi", "Jensen", "Kaya", "Smith")
GIVEN = ("Eva", "Adam", "Piotr", "Ana", "Luc", "Marie", "Deniz")
FIRST_DAY, DAYS = date(2019, 1, 1), 1000
# Of each hundred jobs.
STATES = [JobState.DEAD, JobState.HELD, JobState.CANCELLED, JobState.QUEUED]
EVENTS_OF_A_JOB = (
    EventKind.RECEIVED,
    EventKind.COMPLETE,
    EventKind.QUEUED,
    EventKind.STARTED,
    EventKind.SEGMENTED,
    EventKind.DELIVERED,
)
# The position in each hundred jobs whose results wait for review.
WAITING = 5
DECISION_SECONDS = 900
REVIEWERS = ("eva", "otto", "anna")
SCANNERS = ("SIEMENS Force", "GE Revolution", "Philips Spectral", "Canon Aquilion", "")
FINDINGS = ("HU", "VOLUME", "MIRRORED", "LEVEL", "SACRUM", "FRAGMENT")
STRUCTURES = 117


def rows_of(numbers: range, sha256: str) -> Mapping[Table, Sequence[Mapping[str, Any]]]:
    """Returns the rows of some jobs and of all that belongs to them.

    Args:
        numbers: Of the jobs.
        sha256: Of the stored image of each study.
    """
    segmented = [number for number in numbers if job_state(number) is JobState.SEGMENTED]
    decided = [number for number in segmented if number % 100 != WAITING]
    return {
        STUDIES: [_study_row(number) for number in numbers],
        STUDY_ATTRIBUTES: [_attributes_row(number) for number in numbers],
        INSTANCES: [_instance_row(number, sha256) for number in numbers],
        JOBS: [_job_row(number) for number in numbers],
        RESULTS: [_result_row(number) for number in segmented],
        DELIVERIES: [_delivery_row(number) for number in segmented],
        DECISIONS: [_decision_row(number) for number in decided],
        DECISION_SUBJECTS: [row for number in decided for row in _subject_rows(number)],
        EVENTS: [_event_row(number, kind) for number in numbers for kind in EVENTS_OF_A_JOB],
    }


def study_uid(number: int) -> str:
    """Returns the Study Instance UID of a job's study."""
    return f"2.25.{10**30 + number}"


def job_id(number: int) -> str:
    """Returns the ID of a job."""
    return hashlib.sha256(f"job {number}".encode()).hexdigest()


def job_state(number: int) -> JobState:
    """Returns the state of a job."""
    position = number % 100
    return STATES[position] if position < len(STATES) else JobState.SEGMENTED


def _study_row(number: int) -> Mapping[str, Any]:
    return {
        "study_instance_uid": study_uid(number),
        "n_instances": 1,
        "n_passed_on": 1,
        "n_indexed": 1,
        "last_received_at": BEGUN_AT + number,
    }


def _attributes_row(number: int) -> Mapping[str, str]:
    name = f"{FAMILIES[number % len(FAMILIES)]}, {GIVEN[number % len(GIVEN)]} {number}"
    patient_id, accession_number = f"PAT-{number:07}", f"A{number:07}"
    return {
        "study_instance_uid": study_uid(number),
        "patient_name": name,
        "patient_id": patient_id,
        "accession_number": accession_number,
        "study_date": (FIRST_DAY + timedelta(days=number % DAYS)).isoformat(),
        "description": "CT thorax",
        "modalities": "CT",
        "patient_words": search_words(name, patient_id),
        "accession_words": search_words(accession_number),
    }


def _instance_row(number: int, sha256: str) -> Mapping[str, Any]:
    return {
        "sop_instance_uid": f"2.25.{10**35 + number}",
        "sha256": sha256,
        "sop_class_uid": CT,
        "study_instance_uid": study_uid(number),
        "series_instance_uid": f"{study_uid(number)}.1",
        "size_bytes": 8192,
        "sender": "CT1",
        "transfer": str(number),
        "received_at": BEGUN_AT + number,
        "arrival": 1,
    }


def _job_row(number: int) -> Mapping[str, Any]:
    state = job_state(number)
    has_ended = state is not JobState.QUEUED
    return {
        "job_id": job_id(number),
        "study_instance_uid": study_uid(number),
        "rule": "ct",
        "sender": "CT1",
        "content_digest": job_id(number),
        "content_until": 1.0,
        "n_images": 1,
        "is_urgent": False,
        "application": "{}",
        "destinations": json.dumps({verdict: ["pacs"] for verdict in ("ok", "review", "reject")}),
        "state": state,
        "verdict": _verdict(number),
        "attempts": 1 if has_ended else 0,
        "run": 1,
        "not_before": 0.0,
        "is_enqueued": not has_ended,
        "created_at": BEGUN_AT + number,
        "started_at": BEGUN_AT + number + 1 if has_ended else None,
        "ended_at": BEGUN_AT + number + 60 if has_ended else None,
        "worker": "box-1" if has_ended else None,
    }


def _result_row(number: int) -> Mapping[str, Any]:
    return {
        "job_id": job_id(number),
        "path": "results/seg.dcm",
        "kind": "seg",
        "sop_instance_uid": f"2.25.{10**36 + number}",
    }


def _delivery_row(number: int) -> Mapping[str, Any]:
    return {
        "job_id": job_id(number),
        "destination": "pacs",
        "state": DeliveryState.DELIVERED,
        "attempts": 1,
        "run": 1,
        "not_before": 0.0,
        "is_enqueued": False,
        "created_at": BEGUN_AT + number + 60,
        "delivered_at": BEGUN_AT + number + 62,
        "is_asked": False,
    }


def _event_row(number: int, kind: EventKind) -> Mapping[str, Any]:
    return {
        "at": BEGUN_AT + number,
        "study_instance_uid": study_uid(number),
        "job_id": job_id(number),
        "kind": kind,
        "object_kind": ObjectKind.JOB,
        "outcome": Outcome.SUCCESS,
        "who": "CT1",
        "detail": "one instance",
        "transfer": str(number),
    }


def _verdict(number: int) -> Verdict | None:
    if job_state(number) is JobState.HELD:
        return Verdict.REJECT
    if job_state(number) is not JobState.SEGMENTED:
        return None
    return Verdict.REVIEW if number % 5 == 0 else Verdict.OK


def _decision_kind(number: int) -> DecisionKind:
    return DecisionKind.REJECTED if number % 8 == 0 else DecisionKind.ACCEPTED


def _decision_row(number: int) -> Mapping[str, Any]:
    at = BEGUN_AT + number * DECISION_SECONDS
    return {
        "decision_id": number + 1,
        "form": f"{number:032x}",
        "job_id": job_id(number),
        "run": 1,
        "kind": _decision_kind(number),
        "who": REVIEWERS[number % len(REVIEWERS)],
        "at": at,
        "rule": "ct",
        "verdict": _verdict(number),
        "results_at": at - number % 7200,
        "scanner": SCANNERS[number % len(SCANNERS)],
        "version": f"0.{number // 20_000}.0",
    }


def _subject_rows(number: int) -> Sequence[Mapping[str, Any]]:
    found = {FINDINGS[(number + step) % len(FINDINGS)] for step in (0, 2)}
    named = {f"structure_{(number + step) % STRUCTURES}" for step in (0, 8)}
    is_rejected = _decision_kind(number) is DecisionKind.REJECTED
    subjects = [
        *((SubjectKind.FINDING, code) for code in sorted(found)),
        *((SubjectKind.STRUCTURE, name) for name in sorted(named) if is_rejected),
    ]
    return [{"decision_id": number + 1, "kind": kind, "name": name} for kind, name in subjects]

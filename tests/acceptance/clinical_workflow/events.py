"""Defines the events between the services of a clinical workflow, beside those of a task."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import Field

from tests.acceptance.task_manager.events import Event, Storage, Text


class TaskStatus(StrEnum):
    """The status of a task."""

    CREATED = "Created"
    DISPATCHED = "Dispatched"
    ACCEPTED = "Accepted"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    PARTIAL_FAIL = "PartialFail"


class TaskUpdateEvent(Event):
    """Task Manager to Workflow Manager: the task has another status."""

    workflow_instance_id: Text
    task_id: Text
    execution_id: Text
    correlation_id: Text
    status: TaskStatus
    reason: str = "None"
    message: str = ""
    outputs: tuple[Storage, ...] = ()
    metadata: Mapping[str, object] = {}


class ClinicalReviewRequestEvent(Event):
    """Task Manager to AIDE: let a clinician decide."""

    workflow_instance_id: Text
    execution_id: Text
    task_id: Text
    reviewed_task_id: str
    reviewed_execution_id: str
    correlation_id: Text
    workflow_name: str
    notifications: bool
    reviewer_roles: tuple[str, ...]
    application_metadata: Mapping[str, str]
    files: tuple[Storage, ...]


class ExportRequestEvent(Event):
    """Workflow Manager to Informatics Gateway: send these files."""

    workflow_instance_id: Text
    export_task_id: Text
    correlation_id: Text
    payload_id: Text
    files: tuple[str, ...] = Field(min_length=1)
    destinations: tuple[str, ...] = Field(min_length=1)


class ExportCompleteEvent(Event):
    """Informatics Gateway to Workflow Manager: the files are sent, or not."""

    workflow_instance_id: Text
    export_task_id: Text
    status: Literal["Success", "Failure", "PartialFailure"]
    file_statuses: Mapping[str, str]

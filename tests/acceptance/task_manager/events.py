"""Defines the events of MONAI's messaging that a task needs, with their required fields."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


class Event(BaseModel):
    """Base of all events: frozen, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def body(self) -> bytes:
        """Returns the event as the body of a message."""
        return self.model_dump_json().encode()


class Credentials(Event):
    """The credentials for a place in the object store."""

    access_key: Text
    access_token: Text
    session_token: str = ""


class Storage(Event):
    """A place in the object store; `name` is that of the artifact."""

    name: Text
    endpoint: Text
    bucket: Text
    relative_root_path: Text
    secured_connection: bool = False
    credentials: Credentials | None = None


class TaskDispatchEvent(Event):
    """Workflow Manager to Task Manager: run this task."""

    workflow_instance_id: Text
    task_id: Text
    execution_id: Text
    payload_id: Text
    correlation_id: Text
    type: Text
    status: Literal[
        "Created", "Dispatched", "Accepted", "Succeeded", "Failed", "PartialFail", "Canceled"
    ]
    task_plugin_arguments: Mapping[str, str] = {}
    inputs: tuple[Storage, ...] = Field(min_length=1)
    outputs: tuple[Storage, ...]
    intermediate_storage: Storage
    metadata: Mapping[str, object] = {}


class TaskCallbackEvent(Event):
    """Monitor of the container to Task Manager: the task has ended."""

    workflow_instance_id: Text
    task_id: Text
    execution_id: Text
    correlation_id: Text
    identity: Text
    metadata: Mapping[str, object] = {}
    outputs: tuple[Storage, ...] = ()

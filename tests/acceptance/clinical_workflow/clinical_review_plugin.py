"""Stands in for the plug-in aide_clinical_review: asks AIDE, and reads the answer."""

from tests.acceptance.clinical_workflow.events import ClinicalReviewRequestEvent, TaskStatus
from tests.acceptance.clinical_workflow.message_bus import CannotHandleError, MessageBus
from tests.acceptance.clinical_workflow.task_manager import APPLICATION, Progress
from tests.acceptance.task_manager.events import TaskCallbackEvent, TaskDispatchEvent
from tests.acceptance.task_manager.messages import Topic

REQUIRED = ("reviewed_task_id", "application_name", "application_version", "mode")
DEFAULT_ROLES = ("clinician",)


class ClinicalReviewPlugin:
    """Sends requests to AIDE."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus

    def execute(self, event: TaskDispatchEvent) -> None:
        """Sends the request and does not wait for the answer."""
        arguments = event.task_plugin_arguments
        missing = [name for name in REQUIRED if name not in arguments]
        if missing:
            raise CannotHandleError(f"arguments are missing: {missing}")
        roles = tuple(role.strip() for role in arguments.get("reviewer_roles", "").split(","))
        request = ClinicalReviewRequestEvent(
            workflow_instance_id=event.workflow_instance_id,
            execution_id=event.execution_id,
            task_id=event.task_id,
            reviewed_task_id=arguments["reviewed_task_id"],
            reviewed_execution_id=arguments.get("reviewed_execution_id", ""),
            correlation_id=event.correlation_id,
            workflow_name=arguments.get("workflow_name", ""),
            notifications=arguments.get("notifications", "true").strip().lower() != "false",
            reviewer_roles=roles if all(roles) else DEFAULT_ROLES,
            application_metadata={name: arguments[name] for name in REQUIRED[1:]},
            files=event.inputs,
        )
        self._bus.send(Topic.REVIEW_REQUEST, request, event.correlation_id, APPLICATION)

    def progress(self, event: TaskDispatchEvent, callback: TaskCallbackEvent) -> Progress:
        """Returns PartialFail for a rejection; an answer without `acceptance` is a success."""
        del event
        is_accepted = callback.metadata.get("acceptance", True)
        return Progress(TaskStatus.SUCCEEDED if is_accepted else TaskStatus.PARTIAL_FAIL)

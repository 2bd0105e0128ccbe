"""Stands in for the export of the Informatics Gateway: sends files to a PACS."""

from collections.abc import Mapping

from tests.acceptance.clinical_workflow.events import ExportCompleteEvent, ExportRequestEvent
from tests.acceptance.clinical_workflow.message_bus import Handler, MessageBus
from tests.acceptance.task_manager.messages import Topic
from tests.acceptance.task_manager.object_store import ObjectStore
from tests.acceptance.task_manager.workflow_manager import BUCKET

APPLICATION = "informatics-gateway"


class ExportService:
    """Keeps what it sends.

    Attributes:
        sent: The content of each exported file, by destination and key in the object store.
    """

    def __init__(self, bus: MessageBus, store: ObjectStore) -> None:
        self._bus = bus
        self._store = store
        self.sent: dict[tuple[str, str], bytes] = {}

    @property
    def handlers(self) -> Mapping[Topic, Handler]:
        """The function for the topic."""
        return {Topic.EXPORT_REQUEST: self._export}

    def _export(self, body: bytes) -> None:
        request = ExportRequestEvent.model_validate_json(body)
        for destination in request.destinations:
            for key in request.files:
                self.sent[destination, key] = self._store.get(BUCKET, key)
        complete = ExportCompleteEvent(
            workflow_instance_id=request.workflow_instance_id,
            export_task_id=request.export_task_id,
            status="Success",
            file_statuses=dict.fromkeys(request.files, "Success"),
        )
        self._bus.send(Topic.EXPORT_COMPLETE, complete, request.correlation_id, APPLICATION)

"""Reads the outputs of a task, and checks its callback."""

from tests.acceptance.task_manager.events import TaskCallbackEvent, TaskDispatchEvent
from tests.acceptance.task_manager.messages import PERSISTENT, missing_property
from tests.acceptance.task_manager.object_store import ObjectStore
from tests.acceptance.task_manager.workflow_manager import BUCKET, Message


def objects(store: ObjectStore, root: str) -> dict[str, bytes]:
    """Returns the objects below a root of the object store, by their names below it."""
    keys = store.keys(BUCKET, f"{root}/")
    return {key.removeprefix(f"{root}/"): store.get(BUCKET, key) for key in keys}


def check_callback(message: Message, event: TaskDispatchEvent) -> None:
    """Checks that a callback belongs to a task, and that its properties fulfil the contract."""
    callback = TaskCallbackEvent.model_validate_json(message.body)
    for name in ("workflow_instance_id", "task_id", "execution_id", "correlation_id", "outputs"):
        assert getattr(callback, name) == getattr(event, name)
    assert missing_property(message.properties) is None
    assert message.properties.correlation_id == event.correlation_id
    assert message.properties.delivery_mode == PERSISTENT
    assert message.properties.type == "TaskCallbackEvent"
    assert message.properties.timestamp

"""Finds the artifacts of a task in the object store, as the Workflow Manager does."""

from collections.abc import Sequence

from tests.acceptance.clinical_workflow.workflow_instance import (
    ArtifactTemplate,
    WorkflowInstance,
)
from tests.acceptance.task_manager.object_store import ObjectStore
from tests.acceptance.task_manager.workflow_manager import BUCKET


def exists(store: ObjectStore, path: str) -> bool:
    """Returns whether there is an object below a path."""
    return bool(store.keys(BUCKET, path))


def input_paths(
    artifacts: Sequence[ArtifactTemplate], instance: WorkflowInstance, store: ObjectStore
) -> dict[str, str] | None:
    """Returns {name: path} of the inputs that exist, or None if a mandatory one does not."""
    paths: dict[str, str] = {}
    for artifact in artifacts:
        found = _path(artifact, instance)
        if found is not None and exists(store, found[1]):
            paths[found[0]] = found[1]
        elif artifact.mandatory:
            return None
    return paths


def _path(artifact: ArtifactTemplate, instance: WorkflowInstance) -> tuple[str, str] | None:
    """Returns name and path; the name may be that of the output to which the value refers."""
    words, parts = artifact.value.split(" "), artifact.value.split("}")
    if len(words) < 2:
        return None
    variable, suffix = words[1], parts[1] if len(parts) > 1 else ""
    if variable.startswith("context.input.dicom"):
        return artifact.name, f"{instance.payload_id}/dcm{suffix}"
    if not variable.startswith("context.executions"):
        return None
    path = variable.strip("{}").split(".")
    task = instance.task(path[2])
    if task is None:
        return None
    if path[3] == "output_dir":
        return artifact.name, f"{task.output_directory}{suffix}"
    output = task.outputs.get(path[4]) if path[3] == "artifacts" else None
    return None if output is None else (path[4], output)

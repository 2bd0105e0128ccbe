"""The clinical workflow of both targets: router, TotalMAP, export, and notification."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.site import DOCKER_GRACE_MINUTES, EXPORT_MINUTES, QUEUE_MINUTES, Application, Site
from deploy.validate.docker_task_rules import INPUT_KEY, OUTPUT_KEY

TASK = "totalmap"
EXPORT = "export-results"
NOTIFY = "notify"
TEMPLATE_NAME = "totalmap"
ARGO_INPUT, ARGO_OUTPUT = "study", "output"

_STUDY = "{{ context.input.dicom }}"
_OUTCOME = "{{ context.executions.totalmap.result.outcome }}"


def docker_workflow(app: Application, site: Site) -> str:
    """Returns the JSON for MONAI Deploy Express, whose Task Manager runs a container."""
    task = {
        "id": TASK,
        "description": "Segments the study",
        "type": "docker",
        "timeout_minutes": site.timeout_minutes + DOCKER_GRACE_MINUTES,
        "args": {
            "server_url": "unix:///var/run/docker.sock",
            "container_image": app.image,
            "user": site.user,
            # Through a shell: an empty command would become an empty argument.
            "entrypoint": "/bin/sh,-c",
            "command": "exec /var/holoscan/tools",
            "task_timeout_minutes": str(site.timeout_minutes),
            "temp_storage_container_path": "/var/lib/mde/",
            INPUT_KEY: "/var/holoscan/input/",
            OUTPUT_KEY: "/var/holoscan/output/",
            "env_HOLOSCAN_MODEL_PATH": "/opt/holoscan/models/",
            "env_HOLOSCAN_WORKDIR": "/var/holoscan/",
        },
        "artifacts": {
            "input": [_artifact(INPUT_KEY, _STUDY)],
            "output": [{"name": OUTPUT_KEY, "mandatory": True}],
        },
        "task_destinations": [{"name": EXPORT}],
    }
    # In single braces, which is how the Workflow Manager takes a folder inside. The folder exists
    # after success only, and the plug-in does not look at the container's exit status.
    results = f"{{ context.executions.{TASK}.output_dir }}/{OUTPUT_KEY}/results"
    return _workflow(app, site, [task, _export(site, _artifact("results", results))])


def argo_workflow(app: Application, site: Site) -> str:
    """Returns the JSON for a Task Manager with Argo."""
    minutes = site.timeout_minutes + QUEUE_MINUTES
    task = {
        "id": TASK,
        "description": "Segments the study",
        "type": "argo",
        "timeout_minutes": minutes,
        # Processors, memory and GPU stand in the WorkflowTemplate: here they would be given to the
        # pod that sends the Task Manager's message too.
        "args": {
            "namespace": site.namespace,
            "workflow_template_name": TEMPLATE_NAME,
            "server_url": site.server_url,
            "allow_insecure": "true" if site.allow_insecure else "false",
            "timeoutSeconds": str(minutes * 60),
            "priority": site.priority.value,
        },
        "artifacts": {
            "input": [_artifact(ARGO_INPUT, _STUDY)],
            "output": [{"name": ARGO_OUTPUT, "mandatory": True}],
        },
        "task_destinations": _argo_destinations(site),
    }
    output = f"{{{{ context.executions.{TASK}.artifacts.{ARGO_OUTPUT} }}}}"
    tasks = [task, _export(site, _artifact(ARGO_OUTPUT, output))]
    return _workflow(app, site, [*tasks, _notification(site)] if site.notify else tasks)


def _argo_destinations(site: Site) -> list[dict[str, Any]]:
    if not site.notify:
        return [{"name": EXPORT}]
    return [
        {"name": EXPORT, "conditions": [f"{_OUTCOME} == 'succeeded'"]},
        {"name": NOTIFY, "conditions": [f"{_OUTCOME} != 'succeeded'"]},
    ]


def _workflow(app: Application, site: Site, tasks: Sequence[Mapping[str, Any]]) -> str:
    router = {
        "id": "router",
        "description": f"Every study that is sent to {site.ae_title}",
        "type": "router",
        "task_destinations": [{"name": TASK}],
    }
    document = {
        "name": TASK,
        "version": app.version,
        "description": "TotalSegmentator: DICOM SEG, SR and RTSTRUCT, unverified",
        "informatics_gateway": {
            "ae_title": site.ae_title,
            "data_origins": list(site.origins),
            "export_destinations": [site.pacs],
        },
        "dataRetentionDays": site.retention_days,
        "tasks": [router, *tasks],
    }
    return json.dumps(document, indent=2) + "\n"


def _export(site: Site, artifact: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": EXPORT,
        "description": "Sends the DICOM results to the PACS",
        "type": "export",
        "timeout_minutes": EXPORT_MINUTES,
        "export_destinations": [{"name": site.pacs}],
        "artifacts": {"input": [artifact], "output": []},
    }


def _notification(site: Site) -> dict[str, Any]:
    return {
        "id": NOTIFY,
        "description": "A study that can't be segmented: somebody should know",
        "type": "email",
        "args": {
            "recipient_emails": ",".join(site.notify),
            "metadata_values": "StudyInstanceUID,StudyDate,Modality",
        },
        "artifacts": {"input": [_artifact(ARGO_INPUT, _STUDY)], "output": []},
    }


def _artifact(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "mandatory": True}

"""Writes the clinical workflow of a target as JSON: router, TotalMAP, review, export and mail."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.container_interface import (
    ENTRY_POINT,
    INPUT_FOLDER,
    MODELS_FOLDER,
    MODELS_VARIABLE,
    OUTPUT_FOLDER,
)
from deploy.site_options import (
    DOCKER_GRACE_MINUTES,
    EXPORT_MINUTES,
    QUEUE_MINUTES,
    Application,
    ClinicalReview,
    Site,
)
from deploy.validate.clinical_review_rules import CLINICAL_REVIEW
from deploy.validate.docker_task_rules import INPUT_ARTIFACT, OUTPUT_ARTIFACT, VARIABLE_PREFIX

TASK_ID = "totalmap"
EXPORT_ID = "export-results"
NOTIFY_ID = "notify"
REVIEW_ID = "clinical-review"
TEMPLATE_NAME = "totalmap"
ARGO_INPUT, ARGO_OUTPUT = "study", "output"

_STUDY = "{{ context.input.dicom }}"
_OUTCOME = f"{{{{ context.executions.{TASK_ID}.result.outcome }}}}"
_ACCEPTANCE = f"{{{{ context.executions.{REVIEW_ID}.result.acceptance }}}}"
# Other names than those of the outputs: the Workflow Manager would wait for a message about each
# output of the same name, which only remote applications send.
_REVIEW_STUDY, _RESULTS = "study", "results"


def docker_clinical_workflow(app: Application, site: Site) -> str:
    """Returns the JSON for a Task Manager that runs containers, as MONAI Deploy Express does."""
    task = {
        "id": TASK_ID,
        "description": "Segments the study",
        "type": "docker",
        "timeout_minutes": site.timeout_minutes + DOCKER_GRACE_MINUTES,
        "args": {
            "server_url": "unix:///var/run/docker.sock",
            "container_image": app.image,
            "user": site.user,
            # The command runs in a shell: an empty command would become an empty argument.
            "entrypoint": "/bin/sh,-c",
            "command": f"exec {ENTRY_POINT}",
            "task_timeout_minutes": str(site.timeout_minutes),
            "temp_storage_container_path": "/var/lib/mde/",
            INPUT_ARTIFACT: f"{INPUT_FOLDER}/",
            OUTPUT_ARTIFACT: f"{OUTPUT_FOLDER}/",
            f"{VARIABLE_PREFIX}{MODELS_VARIABLE}": f"{MODELS_FOLDER}/",
            f"{VARIABLE_PREFIX}HOLOSCAN_WORKDIR": "/var/holoscan/",
        },
        "artifacts": {
            "input": [_artifact(INPUT_ARTIFACT, _STUDY)],
            "output": [{"name": OUTPUT_ARTIFACT, "mandatory": True}],
        },
        "task_destinations": [{"name": EXPORT_ID}],
    }
    # The Workflow Manager takes a folder inside the output only in single braces. The folder exists
    # after a success only; the plug-in ignores the container's exit status.
    results = f"{{ context.executions.{TASK_ID}.output_dir }}/{OUTPUT_ARTIFACT}/results"
    return _workflow(app, site, [task, _export(site, _artifact(_RESULTS, results))])


def argo_clinical_workflow(app: Application, site: Site) -> str:
    """Returns the JSON for a Task Manager that uses Argo."""
    minutes = site.timeout_minutes + QUEUE_MINUTES
    task = {
        "id": TASK_ID,
        "description": "Segments the study",
        "type": "argo",
        "timeout_minutes": minutes,
        # The WorkflowTemplate has processors, memory and GPU: here they would hold for the pod that
        # sends the Task Manager's message too.
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
    output = f"{{{{ context.executions.{TASK_ID}.artifacts.{ARGO_OUTPUT} }}}}"
    tasks = [task]
    if site.review:
        tasks.append(_review(app, site.review, output))
    tasks.append(_export(site, _artifact(_RESULTS, output)))
    if site.notify:
        tasks.append(_notification(site))
    return _workflow(app, site, tasks)


def _argo_destinations(site: Site) -> list[dict[str, Any]]:
    following = REVIEW_ID if site.review else EXPORT_ID
    if not site.notify:
        return [{"name": following}]
    return [
        {"name": following, "conditions": [f"{_OUTCOME} == 'succeeded'"]},
        {"name": NOTIFY_ID, "conditions": [f"{_OUTCOME} != 'succeeded'"]},
    ]


def _review(app: Application, review: ClinicalReview, output: str) -> dict[str, Any]:
    arguments = {
        "reviewed_task_id": TASK_ID,
        "application_name": app.title,
        "application_version": app.version,
        "mode": review.mode.value,
        "notifications": "true",
    }
    if review.roles:
        arguments["reviewer_roles"] = ",".join(review.roles)
    inputs = [_artifact(_REVIEW_STUDY, _STUDY), _artifact(_RESULTS, output)]
    # A rejection ends the workflow, and so does an answer that does not say whether the results are
    # accepted: the plug-in would count it as accepted, but the condition does not.
    return {
        "id": REVIEW_ID,
        "description": "Waits until a clinician accepts or rejects the results in AIDE",
        "type": CLINICAL_REVIEW,
        "timeout_minutes": review.hours * 60,
        "args": arguments,
        "artifacts": {"input": inputs, "output": []},
        "task_destinations": [{"name": EXPORT_ID, "conditions": [f"{_ACCEPTANCE} == 'true'"]}],
    }


def _workflow(app: Application, site: Site, tasks: Sequence[Mapping[str, Any]]) -> str:
    router = {
        "id": "router",
        "description": f"Every study that is sent to {site.ae_title}",
        "type": "router",
        "task_destinations": [{"name": TASK_ID}],
    }
    document = {
        "name": TASK_ID,
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
        "id": EXPORT_ID,
        "description": "Sends the DICOM results to the PACS",
        "type": "export",
        "timeout_minutes": EXPORT_MINUTES,
        "export_destinations": [{"name": site.pacs}],
        "artifacts": {"input": [artifact], "output": []},
    }


def _notification(site: Site) -> dict[str, Any]:
    return {
        "id": NOTIFY_ID,
        "description": "Reports a study that can't be segmented",
        "type": "email",
        "args": {
            "recipient_emails": ",".join(site.notify),
            "metadata_values": "StudyInstanceUID,StudyDate,Modality",
        },
        "artifacts": {"input": [_artifact(ARGO_INPUT, _STUDY)], "output": []},
    }


def _artifact(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "mandatory": True}

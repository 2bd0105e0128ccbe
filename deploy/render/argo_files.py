"""Renders the files for Kubernetes with Argo and a Task Manager that uses it."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from deploy.container_interface import (
    ENTRY_POINT,
    INPUT_FOLDER,
    INPUT_VARIABLE,
    MODELS_FOLDER,
    MODELS_VARIABLE,
    OUTPUT_FOLDER,
    OUTPUT_VARIABLE,
)
from deploy.render.docker_files import ORTHANC_IMAGE
from deploy.render.write_clinical_workflow import (
    ARGO_INPUT,
    ARGO_OUTPUT,
    TEMPLATE_NAME,
    argo_clinical_workflow,
)
from deploy.site_options import Application, Priority, Site
from totalmap.errors import ExitStatus

SERVICE_ACCOUNT = "totalmap"
LIMITS_CONFIG_MAP = "totalmap-limits"
PRIORITY_VALUES = {Priority.HIGH: 1000, Priority.STANDARD: 500, Priority.LOW: 100}
DAY_SECONDS, WEEK_SECONDS = 86400, 7 * 86400


def argo_files(app: Application, site: Site) -> Mapping[str, str]:
    """Returns {file name: text}."""
    return {
        "totalmap.json": argo_clinical_workflow(app, site),
        "totalmap-template.yaml": _yaml(
            "The Task Manager's argo plug-in copies this template into a new workflow.",
            [_workflow_template(app, site)],
        ),
        "access.yaml": _yaml(
            "The rights of the pods of a workflow, and how many studies run at a time.",
            _access(site),
        ),
        "priorities.yaml": _yaml(
            "The three priorities of the Workflow Manager. Without them Kubernetes refuses every\n"
            "pod of the Task Manager.",
            [_priority(name, value) for name, value in PRIORITY_VALUES.items()],
        ),
        "orthanc.yaml": _yaml(
            "A small Orthanc for a trial. The secret orthanc-users holds its users.",
            _orthanc(site),
        ),
    }


def _workflow_template(app: Application, site: Site) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": TEMPLATE_NAME, "namespace": site.namespace},
        "spec": {
            "entrypoint": "segment",
            "serviceAccountName": SERVICE_ACCOUNT,
            "ttlStrategy": {
                "secondsAfterSuccess": DAY_SECONDS,
                "secondsAfterFailure": WEEK_SECONDS,
            },
            "templates": [_segment(app, site)],
        },
    }


def _segment(app: Application, site: Site) -> dict[str, Any]:
    # All settings are in the template and none in the spec: the spec also holds for the pod that
    # sends the Task Manager's message.
    return {
        "name": "segment",
        # A text, because the Task Manager's copy of Argo's classes has a text here.
        "activeDeadlineSeconds": str(site.timeout_minutes * 60),
        "synchronization": {
            "semaphore": {"configMapKeyRef": {"name": LIMITS_CONFIG_MAP, "key": "segmentations"}}
        },
        "retryStrategy": {
            "limit": "2",
            "expression": (
                'lastRetry.status == "Error" || '
                f"asInt(lastRetry.exitCode) == {ExitStatus.TRY_AGAIN:d}"
            ),
            "backoff": {"duration": "1m", "factor": "2"},
        },
        "inputs": {"artifacts": [{"name": ARGO_INPUT, "path": INPUT_FOLDER}]},
        "outputs": {
            "artifacts": [{"name": ARGO_OUTPUT, "path": OUTPUT_FOLDER, "archive": {"none": {}}}]
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": site.uid,
            "runAsGroup": site.gid,
            "fsGroup": site.gid,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "container": _container(app, site),
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "output", "emptyDir": {}},
            *_models_volume(site),
        ],
    }


def _container(app: Application, site: Site) -> dict[str, Any]:
    limits: dict[str, str] = {"cpu": str(app.cpu), "memory": app.memory}
    if app.gpu:
        limits["nvidia.com/gpu"] = str(app.gpu)
    return {
        "image": app.image,
        "imagePullPolicy": "IfNotPresent",
        **_command(site),
        "env": [
            {"name": INPUT_VARIABLE, "value": f"{INPUT_FOLDER}/"},
            {"name": OUTPUT_VARIABLE, "value": f"{OUTPUT_FOLDER}/"},
            {"name": MODELS_VARIABLE, "value": f"{MODELS_FOLDER}/"},
        ],
        "resources": {
            "requests": {"cpu": str(app.cpu), "memory": app.memory},
            "limits": limits,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "output", "mountPath": OUTPUT_FOLDER},
            *_models_mount(site),
        ],
    }


def _command(site: Site) -> dict[str, Any]:
    if not site.notify:
        return {"command": [ENTRY_POINT]}
    # The pod succeeds for a study that can't be segmented: the conditions of the clinical workflow
    # read the outcome in metadata.json and send a mail. All other errors fail the pod.
    return {
        "command": ["/bin/sh", "-c"],
        "args": [f"{ENTRY_POINT} || [ $? -eq {ExitStatus.INPUT:d} ]"],
    }


def _models_volume(site: Site) -> list[dict[str, Any]]:
    if not site.models_claim:
        return []
    claim = {"claimName": site.models_claim, "readOnly": True}
    return [{"name": "models", "persistentVolumeClaim": claim}]


def _models_mount(site: Site) -> list[dict[str, Any]]:
    if not site.models_claim:
        return []
    return [{"name": "models", "mountPath": MODELS_FOLDER, "readOnly": True}]


def _access(site: Site) -> list[dict[str, Any]]:
    metadata = {"name": SERVICE_ACCOUNT, "namespace": site.namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": [
                {
                    "apiGroups": ["argoproj.io"],
                    "resources": ["workflowtaskresults"],
                    "verbs": ["create", "patch"],
                }
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": SERVICE_ACCOUNT,
            },
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": LIMITS_CONFIG_MAP, "namespace": site.namespace},
            "data": {"segmentations": str(site.parallel)},
        },
    ]


def _priority(name: Priority, value: int) -> dict[str, Any]:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name.value},
        "value": value,
        "preemptionPolicy": "Never",
        "description": f"Tasks of MONAI Deploy with priority {name.value}",
    }


def _orthanc(site: Site) -> list[dict[str, Any]]:
    metadata = {"name": "orthanc", "namespace": site.namespace}
    labels = {"app": "orthanc"}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "20Gi"}},
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _orthanc_pod(site)},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "selector": labels,
                "ports": [
                    {"name": "http", "port": 8042, "targetPort": "http"},
                    {"name": "dicom", "port": 4242, "targetPort": "dicom"},
                ],
            },
        },
    ]


def _orthanc_pod(site: Site) -> dict[str, Any]:
    container = {
        "name": "orthanc",
        "image": ORTHANC_IMAGE,
        "env": [
            {"name": "ORTHANC__DICOM_AET", "value": site.pacs},
            {
                "name": "ORTHANC__REGISTERED_USERS",
                "valueFrom": {"secretKeyRef": {"name": "orthanc-users", "key": "users"}},
            },
        ],
        "ports": [
            {"name": "http", "containerPort": 8042},
            {"name": "dicom", "containerPort": 4242},
        ],
        "readinessProbe": {"tcpSocket": {"port": "dicom"}, "periodSeconds": 5},
        "resources": {
            "requests": {"cpu": "500m", "memory": "1Gi"},
            "limits": {"cpu": "2", "memory": "2Gi"},
        },
        "volumeMounts": [{"name": "storage", "mountPath": "/var/lib/orthanc/db"}],
    }
    volume = {"name": "storage", "persistentVolumeClaim": {"claimName": "orthanc"}}
    return {"containers": [container], "volumes": [volume]}


class _WithoutAliases(yaml.SafeDumper):
    """Writes repeated values in full: the tools of Kubernetes print no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _yaml(heading: str, documents: Sequence[Mapping[str, Any]]) -> str:
    comment = "".join(
        f"# {line}\n"
        for line in (
            "Rendered by `totalmap deploy render`; change its options, not this file.",
            *heading.splitlines(),
        )
    )
    return comment + yaml.dump_all(
        documents, Dumper=_WithoutAliases, sort_keys=False, width=100, explicit_start=True
    )

"""The files for Kubernetes with Argo and a Task Manager that uses it."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from deploy.render.docker_files import ORTHANC_IMAGE
from deploy.render.write_clinical_workflow import (
    ARGO_INPUT,
    ARGO_OUTPUT,
    TEMPLATE_NAME,
    argo_workflow,
)
from deploy.site import Application, Priority, Site

INPUT, OUTPUT, MODELS = "/var/holoscan/input", "/var/holoscan/output", "/opt/holoscan/models"
ENTRYPOINT = "/var/holoscan/tools"
ACCOUNT = "totalmap"
LIMITS = "totalmap-limits"
PRIORITY_VALUES = {Priority.HIGH: 1000, Priority.STANDARD: 500, Priority.LOW: 100}
DAY_SECONDS, WEEK_SECONDS = 86400, 7 * 86400
OUT_OF_RESOURCES = 75  # exit status: worth another try
CANNOT_BE_SEGMENTED = 65


def argo_files(app: Application, site: Site) -> Mapping[str, str]:
    """Returns {file name: text}."""
    return {
        "totalmap.json": argo_workflow(app, site),
        "totalmap-template.yaml": _yaml(
            "What the Task Manager's argo plug-in copies into a workflow of its own.",
            [_workflow_template(app, site)],
        ),
        "access.yaml": _yaml(
            "What the pods of a workflow may do, and how many studies run at a time.",
            _access(site),
        ),
        "priorities.yaml": _yaml(
            "The three priorities that the Workflow Manager knows: without them Kubernetes\n"
            "refuses every pod of the Task Manager.",
            [_priority(name, value) for name, value in PRIORITY_VALUES.items()],
        ),
        "orthanc.yaml": _yaml(
            "A small Orthanc to try it with. Its users stand in the secret orthanc-users.",
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
            "serviceAccountName": ACCOUNT,
            "ttlStrategy": {
                "secondsAfterSuccess": DAY_SECONDS,
                "secondsAfterFailure": WEEK_SECONDS,
            },
            "templates": [_segment(app, site)],
        },
    }


def _segment(app: Application, site: Site) -> dict[str, Any]:
    # Everything stands here and nothing in the spec: that would hold for the pod that sends the
    # Task Manager's message too.
    return {
        "name": "segment",
        # Text, since the Task Manager's copy of Argo's classes has text here.
        "activeDeadlineSeconds": str(site.timeout_minutes * 60),
        "synchronization": {
            "semaphore": {"configMapKeyRef": {"name": LIMITS, "key": "segmentations"}}
        },
        "retryStrategy": {
            "limit": "2",
            "expression": (
                f'lastRetry.status == "Error" || asInt(lastRetry.exitCode) == {OUT_OF_RESOURCES}'
            ),
            "backoff": {"duration": "1m", "factor": "2"},
        },
        "inputs": {"artifacts": [{"name": ARGO_INPUT, "path": INPUT}]},
        "outputs": {"artifacts": [{"name": ARGO_OUTPUT, "path": OUTPUT, "archive": {"none": {}}}]},
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
            {"name": "HOLOSCAN_INPUT_PATH", "value": f"{INPUT}/"},
            {"name": "HOLOSCAN_OUTPUT_PATH", "value": f"{OUTPUT}/"},
            {"name": "HOLOSCAN_MODEL_PATH", "value": f"{MODELS}/"},
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
            {"name": "output", "mountPath": OUTPUT},
            *_models_mount(site),
        ],
    }


def _command(site: Site) -> dict[str, Any]:
    if not site.notify:
        return {"command": [ENTRYPOINT]}
    # A study that can't be segmented is no fault of the workflow: the conditions of the clinical
    # workflow read the outcome in metadata.json and send a mail. Everything else still fails.
    return {
        "command": ["/bin/sh", "-c"],
        "args": [f"{ENTRYPOINT} || [ $? -eq {CANNOT_BE_SEGMENTED} ]"],
    }


def _models_volume(site: Site) -> list[dict[str, Any]]:
    if not site.models_claim:
        return []
    claim = {"claimName": site.models_claim, "readOnly": True}
    return [{"name": "models", "persistentVolumeClaim": claim}]


def _models_mount(site: Site) -> list[dict[str, Any]]:
    if not site.models_claim:
        return []
    return [{"name": "models", "mountPath": MODELS, "readOnly": True}]


def _access(site: Site) -> list[dict[str, Any]]:
    metadata = {"name": ACCOUNT, "namespace": site.namespace}
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
                "name": ACCOUNT,
            },
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": LIMITS, "namespace": site.namespace},
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
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [container], "volumes": [volume]},
                },
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


class _WithoutAliases(yaml.SafeDumper):
    """Writes what is there twice twice: Kubernetes' own tools print no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _yaml(heading: str, documents: Sequence[Mapping[str, Any]]) -> str:
    comment = "".join(
        f"# {line}\n"
        for line in (
            "Rendered by `totalmap deploy render`; make changes there.",
            *heading.splitlines(),
        )
    )
    return comment + yaml.dump_all(
        documents, Dumper=_WithoutAliases, sort_keys=False, width=100, explicit_start=True
    )

"""Valid files that differ from the rendered ones have no fault."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.validate.validate_files import validate_texts
from tests.unit.deploy.validate.seeded_faults import (
    ARGO,
    DOCKER,
    JSON_NAME,
    STEPS,
    TEMPLATE,
    YAML_NAME,
)


def _json(text: str, change: Callable[[Any], object]) -> dict[Path, str]:
    document = json.loads(text)
    change(document)
    return {JSON_NAME: json.dumps(document, indent=2)}


def _review(document: Any) -> None:
    document["tasks"][1]["task_destinations"] = [{"name": "review"}]
    document["tasks"] = document["tasks"][:2]
    document["tasks"].append(
        {
            "id": "review",
            "type": "aide_clinical_review",
            "args": {
                "application_name": "TotalMAP",
                "application_version": "1",
                "mode": "Research",
                "reviewed_task_id": "totalmap",
                "notifications": "true",
            },
            "artifacts": {"input": [{"name": "results", "value": _OUTPUT}]},
            "timeout_minutes": 1440,
        }
    )


_OUTPUT = "{{ context.executions.totalmap.artifacts.output }}"
_WITH_DAG = STEPS.replace(
    "    steps:\n    - - name: first\n  ", "    dag:\n      tasks:\n      - name: first\n  "
)

VARIANTS: dict[str, dict[Path, str]] = {
    "tabs": {JSON_NAME: DOCKER.replace("  ", "\t")},
    "one line": {JSON_NAME: json.dumps(json.loads(DOCKER))},
    "keys in any case": {JSON_NAME: DOCKER.replace('"name": "ORTHANC"', '"Name": "ORTHANC"')},
    "keys of old samples": _json(
        DOCKER, lambda one: one["tasks"][1].update({"ref": "", "input_parameters": None})
    ),
    "numbers in quotes": {JSON_NAME: DOCKER.replace('Days": 3', 'Days": "3"')},
    "numbers without": {JSON_NAME: DOCKER.replace('minutes": "30"', 'minutes": 30')},
    "no time-out": _json(DOCKER, lambda one: one["tasks"][1].pop("timeout_minutes")),
    "kept for ever": {JSON_NAME: DOCKER.replace('Days": 3', 'Days": -1')},
    "registry and digest": {
        JSON_NAME: DOCKER.replace("totalmap:0.2.0", f"hospital:5000/totalmap@sha256:{'0' * 64}")
    },
    "whole output folder": _json(
        DOCKER,
        lambda one: (
            one["tasks"][1]["args"].update(container_image="other:1"),
            one["tasks"][2]["artifacts"]["input"][0].update(
                value="{{ context.executions.totalmap.output_dir }}"
            ),
        ),
    ),
    "a condition": {
        JSON_NAME: ARGO.replace(
            "== 'succeeded'", "== 'succeeded' AND {{ context.workflow.name }} CONTAINS 'map'"
        )
    },
    "roles instead of addresses": {
        JSON_NAME: ARGO.replace("recipient_emails", "recipient_roles").replace("@", "-at-")
    },
    "clinical review": _json(ARGO, _review),
    "a remote application": _json(
        ARGO,
        lambda one: one["tasks"][2].update(
            type="remote_app_execution",
            artifacts={
                "input": [{"name": "results", "value": _OUTPUT}],
                "output": [{"name": "report", "type": "SR"}],
            },
        ),
    ),
    "empty text for a list": _json(
        ARGO, lambda one: one["tasks"][1]["task_destinations"][0].update(conditions="")
    ),
    "a folder of the study": _json(
        DOCKER,
        lambda one: one["tasks"][1]["artifacts"]["input"][0].update(
            value="{ context.input.dicom }/1.2.3"
        ),
    ),
    "an output's own place": _json(
        ARGO,
        lambda one: one["tasks"][1]["artifacts"]["output"][0].update(
            value="{{ context.executions.totalmap.output_dir }}"
        ),
    ),
    "the template alone": {YAML_NAME: TEMPLATE},
    "steps": {JSON_NAME: ARGO, YAML_NAME: STEPS},
    "a DAG": {JSON_NAME: ARGO, YAML_NAME: _WITH_DAG},
    "two documents": {YAML_NAME: f"apiVersion: v1\nkind: Secret\n{TEMPLATE}"},
    "another document in JSON": {
        JSON_NAME: ARGO,
        Path("list.json"): json.dumps({"apiVersion": "v1", "kind": "List"}),
    },
    "a GPU": {YAML_NAME: TEMPLATE.replace(" limits:\n", " limits:\n          nvidia.com/gpu: 1\n")},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_valid_variant_of_the_deployment_files_has_no_fault(name: str) -> None:
    report = validate_texts(VARIANTS[name])
    assert report.validated
    assert [str(one) for one in report.faults] == []

"""Files with the structure of MONAI's published samples are valid, or a true fault is reported.

The files are our own; only their structure is that of the samples.
"""

import json
from pathlib import Path
from typing import Any

from deploy.validate.validate_files import validate_texts

JSON_NAME, YAML_NAME = Path("sample.json"), Path("sample.yaml")

HELM_CHART_TEMPLATE = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata:
  name: organ-template
  generateName: organ-
spec:
  entrypoint: pipeline
  podGC:
    strategy: OnWorkflowSuccess
  arguments: {}
  templates:
    - name: pipeline
      inputs: {}
      steps:
        - - name: step
            template: organ
            arguments:
              artifacts:
                - name: input
                  s3: {key: some/where}
    - name: organ
      inputs:
        artifacts:
          - name: input
            path: /var/monai/input
            s3: {key: some/where}
      outputs:
        artifacts:
          - name: output
            path: /var/monai/output
      container:
        image: registry.example/organ_seg_app:1.0
        command: [/bin/sh]
        args: ['-c', python3 -u /opt/monai/app/app.py]
        resources:
          limits:
            nvidia.com/gpu: 1
"""


def _express(**changes: Any) -> dict[str, Any]:
    """Returns the shape of the samples of MONAI Deploy Express: router, container, export."""
    arguments = {
        "container_image": "registry.example/organ_seg_app:1.0",
        "server_url": "unix:///var/run/docker.sock",
        "entrypoint": "/bin/bash,-c",
        "command": "python3 -u /opt/monai/app/app.py",
        "task_timeout_minutes": "5",
        "temp_storage_container_path": "/var/lib/mde/",
        "env_MONAI_INPUTPATH": "/var/monai/input/",
        "env_MONAI_OUTPUTPATH": "/var/monai/output/",
    }
    output = "{{ context.executions.organ.artifacts.env_MONAI_OUTPUTPATH }}"
    return {
        "name": "organ",
        "version": "1.0.0",
        "informatics_gateway": {
            "ae_title": "MONAI-DEPLOY",
            "data_origins": ["ORTHANC"],
            "export_destinations": ["ORTHANC"],
        },
        "tasks": [
            {"id": "router", "type": "router", "task_destinations": [{"name": "organ"} | changes]},
            {
                "id": "organ",
                "type": "docker",
                "args": arguments,
                "artifacts": {
                    "input": [
                        {"name": "env_MONAI_INPUTPATH", "value": "{{ context.input.dicom }}"}
                    ],
                    "output": [{"name": "env_MONAI_OUTPUTPATH", "mandatory": True}],
                },
                "task_destinations": [{"name": "export"}],
            },
            {
                "id": "export",
                "type": "export",
                "export_destinations": [{"Name": "ORTHANC"}],
                "artifacts": {"input": [{"name": "export-dicom", "value": output}], "output": []},
            },
        ],
    }


def _helm_chart() -> dict[str, Any]:
    """Returns the shape of the sample of the Helm chart: an Argo workflow and export."""
    return {
        "name": "organ",
        "version": "1",
        "informatics_gateway": {"ae_title": "MONAI-DEPLOY", "export_destinations": ["ORTHANC"]},
        "tasks": [
            {
                "id": "organ",
                "type": "argo",
                "args": {
                    "namespace": "default",
                    "workflow_template_name": "organ-template",
                    "server_url": "http://argo:2746",
                    "allow_insecure": "true",
                },
                "task_destinations": [{"name": "export"}],
                "artifacts": {
                    "input": [{"name": "input", "value": "{{ context.input.dicom }}"}],
                    "output": [{"name": "output"}],
                },
            },
            {
                "id": "export",
                "type": "export",
                "export_destinations": [{"name": "ORTHANC"}],
                "artifacts": {
                    "input": [
                        {
                            "name": "output",
                            "value": "{{ context.executions.organ.artifacts.output }}",
                        }
                    ]
                },
            },
        ],
    }


def _rules(texts: dict[Path, str]) -> list[str]:
    return [fault.rule for fault in validate_texts(texts).faults]


def test_a_sample_workflow_of_monai_express_without_conditions_is_valid() -> None:
    assert _rules({JSON_NAME: json.dumps(_express(), indent="\t")}) == []


def test_the_series_condition_of_a_monai_express_sample_workflow_is_reported() -> None:
    condition = "{{context.dicom.series.any('0008','103E')}} == 'Axial Chest CT'"
    document = _express(conditions=[condition])
    assert _rules({JSON_NAME: json.dumps(document, indent="\t")}) == ["series-condition"]


def test_the_time_out_and_the_image_of_the_hello_world_sample_workflow_are_reported() -> None:
    document = {
        "name": "hello",
        "version": "1",
        "informatics_gateway": {"ae_title": "MONAI-DEPLOY", "export_destinations": ["ORTHANC"]},
        "tasks": [
            {
                "id": "list-files",
                "type": "docker",
                "args": {
                    "container_image": "alpine:latest",
                    "server_url": "unix:///var/run/docker.sock",
                    "entrypoint": "/bin/sh,-c",
                    "command": "find /var/monai/input",
                    "temp_storage_container_path": "/var/lib/mde/",
                    "MYINPUT": "/var/monai/input/",
                },
                "artifacts": {"input": [{"name": "MYINPUT", "value": "{{ context.input.dicom }}"}]},
            }
        ],
    }
    assert _rules({JSON_NAME: json.dumps(document, indent=2)}) == ["docker-timeout", "image"]


def test_the_waiting_export_and_the_pod_gc_of_a_helm_chart_sample_are_reported() -> None:
    document = json.dumps(_helm_chart(), indent=2)
    assert _rules({JSON_NAME: document, YAML_NAME: HELM_CHART_TEMPLATE}) == [
        "input-waits",
        "pod-gc",
    ]


def test_the_broken_yaml_of_a_monai_demo_workflow_is_reported_with_its_line() -> None:
    template = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
spec:
  templates:
    - name: segmentation
      outputs:
        artifacts:
        archive:
          none: {}
        - name: output
"""
    (fault,) = validate_texts({YAML_NAME: template}).faults
    assert (fault.rule, fault.place.line) == ("syntax", 10)


def test_an_argo_template_without_kind_and_version_is_reported() -> None:
    template = "metadata:\n  name: organ\nspec:\n  entrypoint: a\n  templates:\n  - name: a\n"
    assert _rules({YAML_NAME: template}) == ["kind", "kind"]

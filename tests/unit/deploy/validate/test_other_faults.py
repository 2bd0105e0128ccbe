"""Faults beyond the forty seeded ones are reported with rule and line."""

import pytest

from deploy.validate.validate_files import validate_texts
from tests.unit.deploy.validate.seeded_faults import DOCKER, JSON_NAME, Fault, check_fault

SEMAPHORE = """\
    synchronization:
      semaphore:
        configMapKeyRef:
          name: totalmap-limits
          key: segmentations
"""

OPTIONAL = [f'dicom }}}}",\n            "mandatory": {value}' for value in ("true", "false")]

MORE = (
    Fault("no gateway", "docker", '"informatics_gateway"', '"gateway"', "gateway", "ae_title", "{"),
    Fault("doubled key", "docker", '"dataRetentionDays"', '"version": "2",\n  "dataRetentionDays"',
          "doubled-key", "one of the two"),
    Fault("misspelt key", "docker", '"task_destinations"', '"task_destination"', "key",
          "'task_destinations'"),
    Fault("null list", "docker",
          '[\n        {\n          "name": "export-results"\n        }\n      ]', "null", "null",
          "leave the key out"),
    Fault("no command", "docker", '"command": "exec /var/holoscan/tools"', '"command": ""',
          "argument-missing", "command"),
    Fault("words with spaces", "docker", '"/bin/sh,-c"', '"/bin/sh -c"', "command", "/bin/sh,-c"),
    Fault("list in text", "docker", '"exec /var/holoscan/tools"', "\"['python3', '-m', 'app']\"",
          "command", "commas"),
    Fault("comma", "docker", '"exec /var/holoscan/tools"', '"tools one,two"', "command", "script"),
    Fault("argument of another plug-in", "docker", '"user"', '"memory": "8Gi",\n        "user"',
          "argument", "container_image"),
    Fault("variable", "docker", '"env_HOLOSCAN_WORKDIR"', '"env_MY_env_X"', "variable", "env_"),
    Fault("socket", "docker", "unix:///var/run/docker.sock", "/var/run/docker.sock",
          "argument-value", "unix://"),
    Fault("relative mount", "docker", '"/var/holoscan/output/"', '"output/"', "mount", "from /"),
    Fault("relative storage", "docker", '"/var/lib/mde/"', '"mde/"', "mount", "/var/lib/mde/"),
    Fault("half minutes", "docker", '"task_timeout_minutes": "30"',
          '"task_timeout_minutes": "0.5"', "docker-timeout", "whole minutes"),
    Fault("no user", "docker", '"user": "1000:1000",', "", "user", "1000:1000", '"args"'),
    Fault("no tag", "docker", "totalmap:0.2.0", "hospital:5000/totalmap", "image", "version"),
    Fault("optional results", "docker", '/results",\n            "mandatory": true',
          '/results",\n            "mandatory": false', "failure-is-success", '"mandatory": true',
          '"mandatory": false'),
    Fault("no time", "docker", '"timeout_minutes": 15', '"timeout_minutes": 0', "timeout",
          "minutes"),
    Fault("unknown destination", "argo", '"name": "notify"', '"name": "mail"', "destination",
          "notify"),
    Fault("secret", "argo", '"priority"', '"apiToken": "x",\n        "priority"', "secret",
          "leave it out"),
    Fault("processors", "argo", '"priority"', '"cpu": "0.5",\n        "priority"',
          "argument-value", "whole number"),
    Fault("GPU", "argo", '"priority"', '"gpu_required": "1",\n        "priority"',
          "argument-value", "'true'"),
    Fault("URL", "argo", '"https://argo-server.argo:2746"', '"argo-server"', "argument-value",
          "URL"),
    Fault("deadline", "argo", '"timeout_minutes": 150,', "", "timeout-order", "3600",
          '"timeoutSeconds"'),
    Fault("review of a docker task", "docker", '"type": "export"', '"type": "aide_clinical_review"',
          "argument-missing", "mode", '{\n      "id": "export-results"'),
    Fault("unknown context", "docker", "{{ context.input.dicom }}", "{{ context.input.hl7 }}",
          "artifact-value", "context.input.dicom"),
    Fault("place of an output", "argo", '"name": "output",\n            "mandatory": true',
          '"name": "output",\n            "value": "results/"', "output-value", "leave value out",
          '"value": "results/"'),
    Fault("address", "argo", "pacs-team@hospital.example", "pacs-team", "email", "commas"),
    Fault("keyword", "argo", "StudyDate", "StudyDay", "email", "PS3.6"),
    Fault("number without quotes", "argo", "outcome }} == 'succeeded'", "outcome }} == 0",
          "condition", "numbers need quotes"),
    Fault("waiting export", "argo", '"name": "results"', '"name": "output"', "input-waits",
          "another name"),
    Fault("unknown key of a task", "argo", "result.outcome }} ==", "outcome }} ==", "condition",
          "status"),
    Fault("study itself", "argo", "{{ context.executions.totalmap.artifacts.output }}",
          "{{ context.input.dicom }}", "exports-study", "totalmap.artifacts.output",
          '"value": "{{ context.input.dicom }}",\n            "mandatory": true\n          }\n'
          '        ],\n        "output": []'),
    Fault("other template", "argo", '"workflow_template_name": "totalmap"',
          '"workflow_template_name": "totalmap-template"', "template-name", "totalmap"),
    Fault("other namespace", "argo", '"namespace": "argo"', '"namespace": "monai"', "namespace",
          "'argo'"),
    Fault("kind", "template", "kind: WorkflowTemplate", "kind: Workflow", "kind",
          "WorkflowTemplate"),
    Fault("entry point", "template", "entrypoint: segment", "entrypoint: main", "entrypoint",
          "segment"),
    Fault("underscore", "template", "- name: output\n        path", "- name: out_put\n        path",
          "artifact-dns-name", "'out-put'"),
    Fault("exit handler", "template", "  ttlStrategy:", "  onExit: report\n  ttlStrategy:",
          "exit-hook", "remove onExit"),
    Fault("no queue", "template", SEMAPHORE, "", "no-queue", "semaphore", "- name: segment"),
    Fault("no memory", "template", "        limits:\n          cpu: '2'\n          memory: 8Gi\n",
          "        limits:\n          cpu: '2'\n", "memory", "8Gi", "resources:"),
    Fault("GPU as a request", "template", "        requests:\n",
          "        requests:\n          nvidia.com/gpu: 1\n", "gpu", "limits", "nvidia.com/gpu"),
    Fault("old variable", "template", "HOLOSCAN_MODEL_PATH", "MONAI_MODELPATH", "holoscan",
          "HOLOSCAN_", "value: /opt/holoscan/models/"),
    Fault("other folder", "template", "path: /var/holoscan/output\n", "path: /output\n",
          "holoscan", "output"),
    Fault("nowhere to write", "template", "      - name: tmp\n        mountPath: /tmp\n", "",
          "read-only", "emptyDir", "readOnlyRootFilesystem"),
    Fault("no command", "template", "      command:\n      - /bin/sh\n      - -c\n", "", "command",
          "/var/holoscan/tools", "container:"),
    Fault("deadline", "template", "'1800'", "'36000'", "timeout-order", "9000"),
    Fault("templateRef", "steps", "        template: segment\n",
          "        templateRef:\n          name: other\n          template: segment\n",
          "template-ref", "put the template here", "templateRef:"),
    Fault("missing template", "steps", "        template: segment", "        template: segments",
          "template-missing", "segment"),
    Fault("parameters alone", "steps", "          artifacts:\n          - name: study\n"
          "            s3:\n              key: is-replaced\n",
          "          parameters:\n          - name: a\n            value: b\n", "arguments",
          "remove the arguments", "arguments:"),
    Fault("other weights", "docker", '"/opt/holoscan/models/"', '"/weights/"', "models",
          "/opt/holoscan/models/"),
    Fault("optional study", "docker", OPTIONAL[0], OPTIONAL[1], "mandatory", "true",
          '"mandatory": false'),
    Fault("optional study", "argo", OPTIONAL[0], OPTIONAL[1], "mandatory", "true",
          '"mandatory": false'),
    Fault("other weights", "template", "value: /opt/holoscan/models/", "value: /weights/",
          "models", "/opt/holoscan/models/"),
    Fault("no volume", "template", "    - name: tmp\n      emptyDir: {}\n", "", "volume",
          "output", "- name: tmp"),
    Fault("nothing for the shell", "template",
          "      args:\n      - /var/holoscan/tools || [ $? -eq 65 ]\n", "", "command", "args",
          "command:"),
    Fault("request above limit", "template", "memory: 8Gi", "memory: 16Gi", "request", "8Gi"),
    Fault("deadline in words", "template", "'1800'", "30m", "number", "whole number"),
    Fault("semaphore without a number", "template", "          key: segmentations\n", "",
          "semaphore", "configMapKeyRef", "semaphore:"),
    Fault("not copied", "template", "  templates:\n", "  templates:\n  - name: report\n",
          "not-copied", "remove it", "- name: report"),
)  # fmt: skip


@pytest.mark.parametrize("fault", MORE, ids=lambda one: f"{one.base}-{one.name}".replace(" ", "-"))
def test_a_fault_of_deployment_files_beyond_the_forty_seeded_ones_is_reported(fault: Fault) -> None:
    report = check_fault(fault)
    assert fault.is_named_by(report), (fault.place(), [str(one) for one in report.faults])


def test_validation_of_a_workflow_reports_a_review_of_a_docker_task() -> None:
    fault = next(one for one in MORE if one.name == "review of a docker task")
    (name, text), *_ = fault.texts().items()
    reviewed = text.replace(
        '"type": "aide_clinical_review",',
        '"type": "aide_clinical_review", "args": {"reviewed_task_id": "totalmap"},',
    )
    findings = validate_texts({name: reviewed}).faults
    assert any(one.rule == "review" and "under argo" in one.remedy for one in findings)


def test_line_numbers_of_faults_in_deployment_files_agree_with_an_editor() -> None:
    """YAML ends a line at a line separator of Unicode, but no editor does."""
    text = DOCKER.replace("Segments the study", "Segments\u2028the\u0085study")
    (finding,) = validate_texts({JSON_NAME: text.replace("30", "0")}).faults
    wanted = text[: text.index("task_timeout_minutes")].count("\n") + 1
    assert (finding.rule, finding.place.line) == ("docker-timeout", wanted)

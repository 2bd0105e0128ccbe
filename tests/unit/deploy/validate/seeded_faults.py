"""Forty faults, each put into a valid file, with the line that the validation has to name."""

import re
from dataclasses import dataclass
from pathlib import Path

from deploy.render.render_files import render_files
from deploy.site_options import ClinicalReview, ReviewMode, Site, Target
from deploy.validate.file_fault import FileFault
from deploy.validate.validate_files import ValidationReport, validate_texts
from totalmap.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "application": {"version": "0.2.0"},
        "resources": {"cpu": 2, "memory": "8Gi", "gpu": 0},
    }
)


def _rendered(target: Target, review: ClinicalReview | None = None) -> dict[str, str]:
    site = Site(notify=("pacs-team@hospital.example",), review=review)
    return {file.name: file.text for file in render_files(target, SETTINGS, site)}


DOCKER = _rendered(Target.DOCKER)["totalmap.json"]
ARGO = _rendered(Target.ARGO)["totalmap.json"]
REVIEW = _rendered(
    Target.ARGO, ClinicalReview(ReviewMode.CLINICAL, roles=("radiologist", "physicist"))
)["totalmap.json"]
TEMPLATE = _rendered(Target.ARGO)["totalmap-template.yaml"]

# The same template, called by steps, as many sites write it.
STEPS = TEMPLATE.replace("  entrypoint: segment\n", "  entrypoint: main\n").replace(
    "  templates:\n",
    """\
  templates:
  - name: main
    steps:
    - - name: first
        template: segment
        arguments:
          artifacts:
          - name: study
            s3:
              key: is-replaced
""",
)

JSON_NAME, YAML_NAME = Path("workflow.json"), Path("template.yaml")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        base: The valid file: docker, argo, review, template or steps.
        old: The text that is replaced, once.
        marker: A text in the line that has to be named; empty: the new text.
        remedy: A part of the expected remedy.
    """

    name: str
    base: str
    old: str
    new: str
    rule: str
    remedy: str
    marker: str = ""

    def texts(self) -> dict[Path, str]:
        """Returns the files, one of them with the fault."""
        good = BASES[self.base]
        name = YAML_NAME if YAML_NAME in good and self.base in ("template", "steps") else JSON_NAME
        assert self.old in good[name], f"{self.name}: {self.old!r} is not in the valid file"
        return {**good, name: good[name].replace(self.old, self.new, 1)}

    def place(self) -> tuple[Path, int]:
        """Returns the file and line that the validation has to name."""
        good, texts = BASES[self.base], self.texts()
        (name,) = [file for file in texts if texts[file] != good[file]]
        start = good[name].index(self.old)
        marker = self.marker or self.new
        at = texts[name].index(marker, 0 if self.marker else start)
        blank = len(marker) - len(marker.lstrip())
        return name, texts[name].count("\n", 0, at + blank) + 1

    def is_named_by(self, report: ValidationReport) -> bool:
        """Returns whether the validation names rule, line and remedy."""
        return any(self._is_named(fault) for fault in report.faults)

    def _is_named(self, fault: FileFault) -> bool:
        return (
            fault.rule == self.rule
            and (fault.place.file, fault.place.line) == self.place()
            and self.remedy in fault.remedy
        )


BASES: dict[str, dict[Path, str]] = {
    "docker": {JSON_NAME: DOCKER},
    "argo": {JSON_NAME: ARGO, YAML_NAME: TEMPLATE},
    "review": {JSON_NAME: REVIEW, YAML_NAME: TEMPLATE},
    "template": {JSON_NAME: ARGO, YAML_NAME: TEMPLATE},
    "steps": {JSON_NAME: ARGO, YAML_NAME: STEPS},
}

_STUDY = "{{ context.input.dicom }}"
_DOCKER_RESULTS = "{ context.executions.totalmap.output_dir }/env_HOLOSCAN_OUTPUT_PATH/results"
_TIMEOUT = re.search(r'"task_timeout_minutes": "\d+"', DOCKER)
assert _TIMEOUT

FAULTS = (
    # The Workflow Manager refuses these at registration.
    Fault("comma", "docker", '"TOTALMAP",', '"TOTALMAP"', "syntax", "correct", '"data_origins"'),
    Fault("no version", "docker", '"version": "0.2.0"', '"version": ""', "name", '"version"'),
    Fault("long AE title", "docker", '"TOTALMAP"', '"TOTALMAP-RESEARCH"', "ae-title", "at most 15"),
    Fault("task id", "docker", '"id": "router"', '"id": "the router"', "task-id", "letters"),
    Fault("doubled id", "docker", '"id": "export-results"', '"id": "router"', "task-id", "another",
          '"router",\n      "description": "Sends'),
    Fault("old type", "argo", '"type": "email"', '"type": "clinical-review"', "type-of-task",
          "'aide_clinical_review'"),
    Fault("capital type", "docker", '"type": "router"', '"type": "Router"', "type-of-task",
          "'router'"),
    Fault("back to root", "docker", '"name": "export-results"', '"name": "router"', "converging",
          "remove"),
    Fault("converging", "argo", '"name": "notify"', '"name": "export-results"', "converging",
          "a task of its own"),
    Fault("unreached", "docker", '"task_destinations": [\n        {\n          "name": "totalmap"',
          '"task_destinations": [\n        {\n          "name": "export-results"', "unreached",
          "task_destinations", '{\n      "id": "totalmap"'),
    Fault("unlisted PACS", "docker", '"name": "ORTHANC"', '"name": "PACS"', "export", "list it"),
    Fault("no destination", "docker",
          '"export_destinations": [\n        {\n          "name": "ORTHANC"\n        }\n      ]',
          '"export_destinations": []', "export", "export_destinations",
          '{\n      "id": "export-results"'),
    Fault("no input", "docker", '"input": [\n          {\n            "name": "results"',
          '"inputs": [\n          {\n            "name": "results"', "key", "'input'"),
    Fault("no template name", "argo", '"workflow_template_name": "totalmap",', "",
          "argument-missing", "workflow_template_name", '"args": {\n        "namespace"'),
    Fault("documented priority", "argo", '"priority": "standard"', '"priority_class": "standard"',
          "argument", "'priority'"),
    Fault("documented memory", "argo", '"priority": "standard"', '"memory_gb": "8"', "argument",
          "'memory'"),
    Fault("priority value", "argo", '"priority": "standard"', '"priority": "urgent"',
          "argument-value", "high, standard or low"),
    Fault("list as argument", "docker", '"exec /var/holoscan/tools"', '["/var/holoscan/tools"]',
          "type", "text in quotes"),
    Fault("conditions as text", "argo",
          '"conditions": [\n            "{{ context.executions.totalmap.result.outcome }} == '
          "'succeeded'\"\n          ]",
          '"conditions": "{{ context.executions.totalmap.status }} == \'Succeeded\'"', "type",
          "a list"),
    Fault("mail about a patient", "argo", "StudyDate", "PatientName", "email-patient",
          "StudyInstanceUID"),
    # The Workflow Manager accepts these; studies fail or results are lost.
    Fault("no space in braces", "docker", _STUDY, "{{context.input.dicom}}", "artifact-value",
          "{{ context.input.dicom }}"),
    Fault("folder behind braces", "docker", _DOCKER_RESULTS,
          "{{ context.executions.totalmap.output_dir }}/env_HOLOSCAN_OUTPUT_PATH/results",
          "artifact-value", "single braces"),
    Fault("unknown output", "argo", "totalmap.artifacts.output", "totalmap.artifacts.results",
          "artifact-name", "output"),
    Fault("unknown task", "docker", "context.executions.totalmap.output_dir",
          "context.executions.segment.output_dir", "artifact-task", "totalmap"),
    Fault("not mandatory", "argo", '"name": "output",\n            "mandatory": true',
          '"name": "output",\n            "mandatory": false', "mandatory", '"mandatory": true',
          '"mandatory": false'),
    Fault("series condition", "argo",
          "{{ context.executions.totalmap.result.outcome }} == 'succeeded'",
          "{{ context.dicom.series.any('0008','0060') }} == 'CT'", "series-condition", "ae_title"),
    Fault("condition", "argo", "outcome }} == 'succeeded'", "outcome }} = 'succeeded'",
          "condition", "=="),
    Fault("predicate", "docker", '"dataRetentionDays"',
          "\"predicate\": [\"{{ context.input.patient_details.sex }} == 'F'\"],\n"
          '  "dataRetentionDays"', "predicate", "ae_title"),
    Fault("deleted at once", "docker", '"dataRetentionDays": 3', '"dataRetentionDays": 0',
          "retention", "-1"),
    # The docker plug-in.
    Fault("five minutes", "docker", f"{_TIMEOUT[0]},", "", "docker-timeout",
          "task_timeout_minutes", '"args": {'),
    Fault("time-outs the wrong way round", "docker", _TIMEOUT[0], '"task_timeout_minutes": "90"',
          "timeout-order", "above 90"),
    Fault("old variables", "docker", '"name": "env_HOLOSCAN_INPUT_PATH"',
          '"name": "env_MONAI_INPUTPATH"', "mount", "env_MONAI_INPUTPATH"),
    Fault("failure exported", "docker", _DOCKER_RESULTS,
          "{{ context.executions.totalmap.artifacts.env_HOLOSCAN_OUTPUT_PATH }}",
          "failure-is-success", "/results"),
    Fault("moving image", "docker", '"totalmap:0.2.0"', '"totalmap:latest"', "image", "version"),
    # Argo.
    Fault("underscore", "argo", '"name": "study"', '"name": "input_study"', "artifact-dns-name",
          "'input-study'"),
    Fault("names differ", "template", "- name: study", "- name: input", "artifact-pair", "study"),
    Fault("pod GC", "template", "  ttlStrategy:\n",
          "  podGC:\n    strategy: OnPodCompletion\n  ttlStrategy:\n", "pod-gc", "ttlStrategy"),
    Fault("reserved name", "steps", "  - name: segment", "  - name: send-message", "reserved",
          "another name"),
    Fault("memory as Docker writes it", "template", "memory: 8Gi", "memory: 8GB", "quantity",
          "8Gi"),
    Fault("template twice", "steps", "            s3:\n              key: is-replaced\n",
          "            s3:\n              key: is-replaced\n"
          "    - - name: second\n        template: segment\n", "template-twice",
          "second template", "template: segment\n  - name"),
)  # fmt: skip


def check_fault(fault: Fault) -> ValidationReport:
    """Returns the report of the validation of the files with the fault."""
    return validate_texts(fault.texts())

"""Faults of a clinical review are reported with rule, line and remedy."""

import json

import pytest

from deploy.validate.file_fault import FileFault
from deploy.validate.validate_files import validate_texts
from tests.unit.deploy.validate.seeded_faults import JSON_NAME, REVIEW, Fault, check_fault

OUTPUT = "{{ context.executions.totalmap.artifacts.output }}"
ACCEPTANCE = "clinical-review.result.acceptance }}"
MODE = '"mode": "Clinical"'

FAULTS = (
    Fault("documented type", "review", '"aide_clinical_review"', '"aide-clinical-review"',
          "type-of-task", "'aide_clinical_review'"),
    Fault("no mode", "review", MODE, '"mode": ""', "argument-missing", "mode"),
    Fault("no application", "review", '"application_name": "TotalMAP",', "", "argument-missing",
          "application_name", '"args": {\n        "reviewed_task_id"'),
    Fault("other mode", "review", MODE, '"mode": "Trial"', "argument-value", "QA, Research"),
    Fault("notifications", "review", '"notifications": "true"', '"notifications": "yes"',
          "argument-value", "true, false"),
    Fault("empty role", "review", '"radiologist,physicist"', '"radiologist,,physicist"',
          "argument-value", "role names"),
    Fault("unknown task", "review", '"reviewed_task_id": "totalmap"',
          '"reviewed_task_id": "segment"', "review", "under argo"),
    Fault("review of the router", "review", '"reviewed_task_id": "totalmap"',
          '"reviewed_task_id": "router"', "review", "under argo"),
    Fault("capitals", "review", '"reviewed_task_id": "totalmap"', '"reviewed_task_id": "TotalMAP"',
          "review", "'totalmap'"),
    Fault("no time", "review", '"timeout_minutes": 2880,', "", "timeout", "2880",
          '{\n      "id": "clinical-review"'),
    Fault("longer than kept", "review", '"timeout_minutes": 2880', '"timeout_minutes": 4200',
          "retention", "at most 4170"),
    Fault("waits for a rejection", "review", f"{ACCEPTANCE} == 'true'", f"{ACCEPTANCE} == 'false'",
          "review-rejected", "remove this destination"),
    Fault("waits for no acceptance", "review", f"{ACCEPTANCE} == 'true'",
          f"{ACCEPTANCE} != 'True'", "review-rejected", "remove this destination"),
    Fault("unknown answer", "review", ACCEPTANCE, "clinical-review.result.accepted }}",
          "condition-result", "acceptance, reason"),
    Fault("waiting review", "review", '"name": "results"', '"name": "output"', "input-waits",
          "another name"),
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_of_a_clinical_review_task_is_reported_with_rule_line_and_remedy(
    fault: Fault,
) -> None:
    report = check_fault(fault)
    assert fault.is_named_by(report), (fault.place(), [str(one) for one in report.faults])


def faults_of(document: object) -> list[FileFault]:
    return list(validate_texts({JSON_NAME: json.dumps(document, indent=2)}).faults)


def test_a_workflow_export_that_does_not_wait_for_the_clinical_review_is_reported() -> None:
    document = json.loads(REVIEW)
    _, segmentation, review, *_ = document["tasks"]
    segmentation["task_destinations"].append({"name": "export-results"})
    review["task_destinations"] = []
    (fault,) = faults_of(document)
    assert fault.rule == "review-bypassed"
    assert "let 'export-results' follow 'clinical-review'" in fault.remedy
    line = json.dumps(document, indent=2).splitlines()[fault.place.line - 1]
    assert OUTPUT in line


def test_a_clinical_review_that_starts_before_its_task_is_reported() -> None:
    document = json.loads(REVIEW)
    router, segmentation, *_ = document["tasks"]
    router["task_destinations"] = [{"name": "totalmap"}, {"name": "clinical-review"}]
    segmentation["task_destinations"] = segmentation["task_destinations"][1:]
    faults = faults_of(document)
    assert {"review", "artifact-task"} <= {fault.rule for fault in faults}
    (fault,) = [fault for fault in faults if fault.rule == "review"]
    assert "has not run" in fault.problem


def test_an_input_of_another_task_in_a_clinical_review_is_reported() -> None:
    document = json.loads(REVIEW)
    _, segmentation, review, *_ = document["tasks"]
    other = json.loads(json.dumps(segmentation)) | {"id": "other"}
    other["task_destinations"] = [{"name": "totalmap"}]
    document["tasks"][0]["task_destinations"] = [{"name": "other"}]
    document["tasks"].insert(1, other)
    review["artifacts"]["input"][1]["value"] = OUTPUT.replace("totalmap", "other")
    (fault,) = faults_of(document)
    assert (fault.rule, "of task 'other'" in fault.problem) == ("review", True)


def test_a_clinical_review_of_data_that_are_kept_for_ever_may_take_any_time() -> None:
    document = json.loads(REVIEW)
    document["dataRetentionDays"] = -1
    document["tasks"][2]["timeout_minutes"] = 100_000
    assert faults_of(document) == []

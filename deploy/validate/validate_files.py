"""Validates files: reads their documents, applies the rules, and reports the faults."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.validate.argo_pod_rules import ARGO_POD_RULES
from deploy.validate.argo_template_rules import ARGO_TEMPLATE_RULES
from deploy.validate.clinical_condition_rules import condition_faults
from deploy.validate.clinical_task_rules import task_faults
from deploy.validate.clinical_workflow_and_argo_template_rules import cross_file_faults
from deploy.validate.clinical_workflow_rules import CLINICAL_WORKFLOW_RULES
from deploy.validate.file_fault import FileFault
from deploy.validate.json_schema import DocumentKind, schema_faults
from deploy.validate.read_argo_template import WorkflowTemplate, read_argo_template
from deploy.validate.read_clinical_workflow import ClinicalWorkflow, read_clinical_workflow
from deploy.validate.yaml_positions import LocatedValue, read_documents
from totalmap.errors import ConfigError


@dataclass(frozen=True)
class ValidationReport:
    """The result of a validation.

    Attributes:
        validated: Each file that was validated, and the kind of its document in words.
        skipped: Files with documents that the Workflow Manager never sees, and their kinds.
        faults: In the order of files and lines.
    """

    validated: tuple[tuple[Path, str], ...]
    skipped: tuple[tuple[Path, str], ...]
    faults: tuple[FileFault, ...]


def validate_files(files: Sequence[Path]) -> ValidationReport:
    """Validates clinical workflows and WorkflowTemplates, first each file and then all together.

    Raises:
        ConfigError: A file can't be read, or no file holds a document to validate.
    """
    return validate_texts({file: _read(file) for file in files})


def validate_texts(texts: Mapping[Path, str]) -> ValidationReport:
    """Validates the contents of files, which need not be written yet.

    Raises:
        ConfigError: No file holds a document to validate.
    """
    faults: list[FileFault] = []
    workflows: list[ClinicalWorkflow] = []
    templates: list[WorkflowTemplate] = []
    validated: list[tuple[Path, str]] = []
    skipped: list[tuple[Path, str]] = []
    for file, text in texts.items():
        content = read_documents(file, text)
        faults += content.faults
        for document in content.documents:
            kind = _kind(document)
            if kind == "clinical workflow":
                faults += schema_faults(document, DocumentKind.CLINICAL_WORKFLOW)
                workflows.append(read_clinical_workflow(document))
                validated.append((file, kind))
            elif kind == "Argo WorkflowTemplate":
                faults += schema_faults(document, DocumentKind.ARGO_WORKFLOW_TEMPLATE)
                templates.append(read_argo_template(document))
                validated.append((file, kind))
            else:
                skipped.append((file, kind))
    if not validated and not faults:
        raise ConfigError(
            f"{', '.join(str(file) for file in texts)}: neither a clinical workflow nor an Argo "
            "WorkflowTemplate; name one"
        )
    faults += _rule_faults(workflows, templates)
    order = {file: position for position, file in enumerate(texts)}
    faults.sort(key=lambda fault: (order[fault.place.file], fault.place.line))
    return ValidationReport(tuple(validated), tuple(skipped), tuple(dict.fromkeys(faults)))


def _rule_faults(
    workflows: Sequence[ClinicalWorkflow], templates: Sequence[WorkflowTemplate]
) -> Iterator[FileFault]:
    for workflow in workflows:
        for workflow_rule in CLINICAL_WORKFLOW_RULES:
            yield from workflow_rule(workflow)
        yield from condition_faults(workflow)
        yield from task_faults(workflow)
        yield from cross_file_faults(workflow, templates)
    for template in templates:
        for template_rule in (*ARGO_TEMPLATE_RULES, *ARGO_POD_RULES):
            yield from template_rule(template)


def _kind(document: LocatedValue) -> str:
    """Returns the kind of a document in words."""
    if document.get("spec", "templates"):
        return "Argo WorkflowTemplate"  # also without its kind, which the schema then reports
    if document.get("services") and not document.get("tasks"):
        return "compose file"
    if document.get("apiVersion"):
        return document.get("kind").text or "document of Kubernetes"
    return "clinical workflow"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8: save it as UTF-8") from error

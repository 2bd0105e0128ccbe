"""The checker: files in, findings out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.validate.argo_template_rules import TEMPLATE_RULES
from deploy.validate.clinical_condition_rules import conditions
from deploy.validate.clinical_task_rules import task_findings
from deploy.validate.clinical_workflow_rules import WORKFLOW_RULES
from deploy.validate.cross_file_rules import pair_findings
from deploy.validate.file_fault import Finding
from deploy.validate.json_schema import shape_findings
from deploy.validate.read_argo_template import WorkflowTemplate, read_template
from deploy.validate.read_clinical_workflow import Workflow, read_workflow
from deploy.validate.yaml_positions import Node, parse
from totalmap.errors import ConfigError


@dataclass(frozen=True)
class Report:
    """What was checked and what was found.

    Attributes:
        checked: What each file holds, in words, for those that were checked.
        unknown: Files with documents that the Workflow Manager never sees.
        findings: In the order of files and lines.
    """

    checked: tuple[tuple[Path, str], ...]
    unknown: tuple[tuple[Path, str], ...]
    findings: tuple[Finding, ...]


def check_files(files: Sequence[Path]) -> Report:
    """Checks clinical workflows and WorkflowTemplates, each alone and then together.

    Raises:
        ConfigError: A file can't be read, or none of them is one to be checked.
    """
    return check_texts({file: _read(file) for file in files})


def check_texts(texts: Mapping[Path, str]) -> Report:
    """Checks what files hold or will hold.

    Raises:
        ConfigError: None of them is one to be checked.
    """
    findings: list[Finding] = []
    workflows: list[Workflow] = []
    templates: list[WorkflowTemplate] = []
    checked: list[tuple[Path, str]] = []
    unknown: list[tuple[Path, str]] = []
    for file, text in texts.items():
        parsed = parse(file, text)
        findings += parsed.findings
        for node in parsed.documents:
            if _kind(node) == "WorkflowTemplate":
                templates.append(read_template(node))
                checked.append((file, "Argo WorkflowTemplate"))
            elif _kind(node):
                unknown.append((file, _kind(node)))
            else:
                findings += shape_findings(node)
                workflows.append(read_workflow(node))
                checked.append((file, "clinical workflow"))
    if not checked and not findings:
        raise ConfigError(
            f"{', '.join(str(file) for file in texts)}: neither a clinical workflow nor an Argo "
            "WorkflowTemplate; name one"
        )
    findings += _rule_findings(workflows, templates)
    order = {file: position for position, file in enumerate(texts)}
    findings.sort(key=lambda one: (order[one.place.file], one.place.line))
    return Report(tuple(checked), tuple(unknown), tuple(dict.fromkeys(findings)))


def _rule_findings(
    workflows: Sequence[Workflow], templates: Sequence[WorkflowTemplate]
) -> Iterator[Finding]:
    for workflow in workflows:
        for rule in WORKFLOW_RULES:
            yield from rule(workflow)
        yield from conditions(workflow)
        yield from task_findings(workflow)
        yield from pair_findings(workflow, templates)
    for template in templates:
        for template_rule in TEMPLATE_RULES:
            yield from template_rule(template)


def _kind(node: Node) -> str:
    """Returns the kind of a document that is no clinical workflow, and nothing for one."""
    if node.get("spec", "templates"):
        return "WorkflowTemplate"  # one that lost its kind too, so that this is found
    if node.get("services") and not node.get("tasks"):
        return "compose file"
    return node.get("kind").text if node.get("apiVersion") else ""


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8: write it anew as UTF-8") from error

"""Rules about an Argo WorkflowTemplate that the Task Manager runs.

Source: ArgoPlugin, ExitHookTemplate and Strings of the Task Manager (revision 9e10e95). The plug-in
does not run the WorkflowTemplate: it copies what it reaches from the entry point into a new
workflow, adds its own templates, and gives the artifacts their places in the object store.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from deploy.validate.argo_pod_rules import POD_RULES
from deploy.validate.file_fault import Finding
from deploy.validate.read_argo_template import Template, TemplateArtifact, WorkflowTemplate

API_VERSION = "argoproj.io/v1alpha1"
# The names of the templates that the plug-in adds.
RESERVED = ("md-workflow-entrypoint", "exit-message-template", "send-message")

_DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
MODELS = "/opt/holoscan/models"
_FOLDERS = {
    "input": ("HOLOSCAN_INPUT_PATH", "/var/holoscan/input"),
    "output": ("HOLOSCAN_OUTPUT_PATH", "/var/holoscan/output"),
}

TemplateRule = Callable[[WorkflowTemplate], Iterator[Finding]]


def head(document: WorkflowTemplate) -> Iterator[Finding]:
    """Version and name."""
    for key, text, wanted in (
        ("apiVersion", document.api_version, API_VERSION),
        ("kind", document.kind, "WorkflowTemplate"),
    ):
        if text.value != wanted:
            yield Finding(
                text.place,
                "kind",
                f"{key} is {text.value!r}: to kubectl this is no WorkflowTemplate",
                f"write {wanted}",
            )
    if not _DNS_NAME.fullmatch(document.name.value):
        yield Finding(
            document.name.place,
            "name",
            f"metadata.name is {document.name.value!r}",
            "write a name of lower-case letters, digits and -, the same as the clinical workflow's "
            "workflow_template_name",
        )


def entrypoint(document: WorkflowTemplate) -> Iterator[Finding]:
    """Where the Task Manager starts to copy."""
    if document.entrypoint.value not in document.by_name:
        yield Finding(
            document.entrypoint.place,
            "entrypoint",
            f"entrypoint is {document.entrypoint.value!r}, which is none of the templates",
            f"write one of {', '.join(document.by_name) or 'the templates'}",
        )


def template_names(document: WorkflowTemplate) -> Iterator[Finding]:
    """Argo refuses two templates of a name, and the Task Manager adds three of its own."""
    count = Counter(one.name.value for one in document.templates)
    seen: set[str] = set()
    for template in document.templates:
        name = template.name
        if name.value in RESERVED:
            yield Finding(
                name.place,
                "reserved",
                f"template {name.value!r} has the name of one that the Task Manager adds",
                "give it another name",
            )
        elif count[name.value] > 1 and name.value in seen:
            yield Finding(
                name.place,
                "template-doubled",
                f"there are {count[name.value]} templates {name.value!r}",
                "give one another name",
            )
        seen.add(name.value)


def calls(document: WorkflowTemplate) -> Iterator[Finding]:
    """Each template may be used by one step, and only those of this document."""
    used: set[str] = set()
    for call in document.calls:
        name = call.template
        if call.template_ref:
            yield Finding(
                call.template_ref.place,
                "template-ref",
                "templateRef names a template of another document, which the Task Manager does not "
                "copy",
                "put the template here and name it with template",
            )
        elif name.value not in document.by_name:
            yield Finding(
                name.place,
                "template-missing",
                f"there is no template {name.value!r}",
                f"write one of {', '.join(document.by_name)}",
            )
        elif name.value in used:
            yield Finding(
                name.place,
                "template-twice",
                f"template {name.value!r} is used twice: the Task Manager copies it twice, and "
                "Argo refuses two of a name",
                "make a second template with another name",
            )
        used.add(name.value)


def arguments_hold_artifacts(document: WorkflowTemplate) -> Iterator[Finding]:
    """The plug-in reads the artifacts of all arguments, and fails where there are none."""
    for call in document.calls:
        template = document.by_name.get(call.template.value)
        if call.has_arguments and not call.artifacts and template and template.inputs:
            yield Finding(
                call.arguments_place,
                "arguments",
                "arguments without artifacts, for a template with input artifacts, end the Task "
                "Manager's plug-in with an error",
                "add the artifacts, or remove the arguments",
            )


def everything_is_copied(document: WorkflowTemplate) -> Iterator[Finding]:
    """Templates for onExit and hooks are not reached from the entry point."""
    reached = document.reached()
    for template in document.templates:
        if document.entrypoint.value in document.by_name and template.name.value not in reached:
            yield Finding(
                template.name.place,
                "not-copied",
                f"template {template.name.value!r} is not reached from the entry point by steps or "
                "dag, so the Task Manager leaves it out",
                "call it from there or remove it",
            )
    for key in ("onExit", "hooks"):
        node = document.spec.get(key)
        if node:
            yield Finding(
                node.place,
                "exit-hook",
                f"spec.{key}: its templates are not copied, and the exit hook belongs to the Task "
                "Manager, which sends its message there",
                f"remove {key}, and let a later task of the clinical workflow do the work",
            )


def pods_are_kept(document: WorkflowTemplate) -> Iterator[Finding]:
    """PodGC is removed, so only the time to live clears up."""
    node = document.spec.get("podGC")
    if node:
        yield Finding(
            node.place,
            "pod-gc",
            "podGC is removed by the Task Manager: pods stay until the workflow is deleted",
            "set ttlStrategy instead",
        )


def artifacts(document: WorkflowTemplate) -> Iterator[Finding]:
    """Names become parts of secrets' names; paths have to be absolute."""
    for template in document.templates:
        for group in (template.inputs, template.outputs):
            yield from _artifact_findings(group, template)


def _artifact_findings(
    group: tuple[TemplateArtifact, ...], template: Template
) -> Iterator[Finding]:
    seen: set[str] = set()
    for artifact in group:
        name = artifact.name.value
        if not _DNS_NAME.fullmatch(name.lower()):
            yield Finding(
                artifact.name.place,
                "artifact-dns-name",
                f"artifact {name!r} can't be part of a secret's name (RFC 1123)",
                f"write {re.sub('[^a-z0-9-]', '-', name.lower()).strip('-') or 'a name'!r}",
            )
        elif name in seen:
            yield Finding(
                artifact.name.place,
                "artifact-doubled",
                f"artifact {name!r} is there twice",
                "give one another name",
            )
        if template.container and not artifact.path.value.startswith("/"):
            yield Finding(
                artifact.path.place,
                "artifact-path",
                f"artifact {name!r} has the path {artifact.path.value!r}",
                "write an absolute path",
            )
        seen.add(name)


def totalmap_folders(document: WorkflowTemplate) -> Iterator[Finding]:
    """TotalMAP reads and writes where HOLOSCAN_* say."""
    for template in document.templates:
        if not template.is_totalmap:
            continue
        environment = template.environment()
        for name, value in environment.items():
            if name.startswith("MONAI_"):
                yield Finding(
                    value.place,
                    "holoscan",
                    f"TotalMAP does not read {name}",
                    "write HOLOSCAN_INPUT_PATH, HOLOSCAN_OUTPUT_PATH and so on",
                )
        for what, group in (("input", template.inputs), ("output", template.outputs)):
            variable, default = _FOLDERS[what]
            folder = environment[variable].value if variable in environment else default
            paths = [one.path for one in group]
            if folder.rstrip("/") not in [path.value.rstrip("/") for path in paths]:
                yield Finding(
                    paths[0].place if paths else template.place,
                    "holoscan",
                    f"no {what} artifact has the path {folder}, TotalMAP's {what} folder",
                    f"add or correct the {what} artifact with this path",
                )


def totalmap_weights(document: WorkflowTemplate) -> Iterator[Finding]:
    """They are in the image at their usual place, or mounted."""
    for template in document.templates:
        variable = template.environment().get("HOLOSCAN_MODEL_PATH")
        if not template.is_totalmap or not variable:
            continue
        mounts = template.container.get("volumeMounts").items
        places = [MODELS, *(one.get("mountPath").text.rstrip("/") for one in mounts)]
        folder = PurePosixPath(variable.value)
        if not any(place and folder.is_relative_to(place) for place in places):
            yield Finding(
                variable.place,
                "models",
                f"no weights are at {variable.value}: those of the image are at {MODELS}, and no "
                "volume is mounted there",
                f"write {MODELS}/, or mount the weights",
            )


def totalmap_can_write(document: WorkflowTemplate) -> Iterator[Finding]:
    """With a read-only root, /tmp and the output folder have to be volumes."""
    for template in document.templates:
        read_only = template.container.get("securityContext", "readOnlyRootFilesystem")
        if not template.is_totalmap or read_only.text != "true":
            continue
        mounts = template.container.get("volumeMounts")
        paths = [one.get("mountPath").text.rstrip("/") for one in mounts.items]
        for folder in ("/tmp", _FOLDERS["output"][1]):  # noqa: S108
            if folder not in paths:
                yield Finding(
                    read_only.place,
                    "read-only",
                    f"the root file system is read-only and {folder} is no volume",
                    f"mount an emptyDir at {folder}",
                )


TEMPLATE_RULES: tuple[TemplateRule, ...] = (
    head,
    entrypoint,
    template_names,
    calls,
    arguments_hold_artifacts,
    everything_is_copied,
    pods_are_kept,
    artifacts,
    totalmap_folders,
    totalmap_weights,
    totalmap_can_write,
    *POD_RULES,
)

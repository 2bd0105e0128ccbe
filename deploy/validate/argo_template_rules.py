"""Validates an Argo WorkflowTemplate by what the Task Manager's argo plug-in does with it.

Source: ArgoPlugin, ExitHookTemplate and Strings of the Task Manager (revision 9e10e95). The plug-in
does not run the WorkflowTemplate. It copies the templates that the entry point reaches into a new
workflow, adds its own templates, and gives the artifacts their locations in the object store.
argo_pod_rules.py has the rules of containers and pods.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from deploy.container_interface import (
    INPUT_FOLDER,
    INPUT_VARIABLE,
    MODELS_FOLDER,
    MODELS_VARIABLE,
    OUTPUT_FOLDER,
    OUTPUT_VARIABLE,
)
from deploy.validate.file_fault import FileFault
from deploy.validate.read_argo_template import Template, TemplateArtifact, WorkflowTemplate

# The names of the templates that the plug-in adds.
RESERVED_NAMES = ("md-workflow-entrypoint", "exit-message-template", "send-message")

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")

ArgoTemplateRule = Callable[[WorkflowTemplate], Iterator[FileFault]]


def entry_point_exists(document: WorkflowTemplate) -> Iterator[FileFault]:
    """The Task Manager starts to copy at the entry point."""
    if document.entry_point.value not in document.template_by_name:
        yield FileFault(
            document.entry_point.place,
            "entrypoint",
            f"entrypoint is {document.entry_point.value!r}, which is not a template",
            f"write one of {', '.join(document.template_by_name) or 'the templates'}",
        )


def template_names_differ(document: WorkflowTemplate) -> Iterator[FileFault]:
    """Argo refuses two templates with one name, and the Task Manager adds three templates."""
    count = Counter(template.name.value for template in document.templates)
    seen: set[str] = set()
    for template in document.templates:
        name = template.name
        if name.value in RESERVED_NAMES:
            yield FileFault(
                name.place,
                "reserved",
                f"the Task Manager adds a template with the name {name.value!r}",
                "give the template another name",
            )
        elif name.value in seen:
            yield FileFault(
                name.place,
                "template-doubled",
                f"{count[name.value]} templates have the name {name.value!r}",
                "give one of them another name",
            )
        seen.add(name.value)


def every_template_is_called_once(document: WorkflowTemplate) -> Iterator[FileFault]:
    """One step may use a template, and the template has to be in this document."""
    used: set[str] = set()
    for call in document.calls:
        name = call.template
        if call.has_template_ref:  # the schema refuses this
            continue
        if name.value not in document.template_by_name:
            yield FileFault(
                name.place,
                "template-missing",
                f"there is no template {name.value!r}",
                f"write one of {', '.join(document.template_by_name)}",
            )
        elif name.value in used:
            yield FileFault(
                name.place,
                "template-twice",
                f"two steps use template {name.value!r}: the Task Manager copies it twice, and "
                "Argo refuses two templates with one name",
                "make a second template with another name",
            )
        used.add(name.value)


def arguments_have_artifacts(document: WorkflowTemplate) -> Iterator[FileFault]:
    """The plug-in reads the artifacts of all arguments, and fails if there are none."""
    for call in document.calls:
        template = document.template_by_name.get(call.template.value)
        if call.has_arguments and not call.artifacts and template and template.inputs:
            yield FileFault(
                call.arguments_place,
                "arguments",
                "the Task Manager's plug-in fails at arguments without artifacts for a template "
                "with input artifacts",
                "add the artifacts, or remove the arguments",
            )


def every_template_is_copied(document: WorkflowTemplate) -> Iterator[FileFault]:
    """The plug-in leaves out templates that the entry point does not reach."""
    if document.entry_point.value not in document.template_by_name:
        return
    copied = document.copied_names()
    for template in document.templates:
        if template.name.value not in copied:
            yield FileFault(
                template.name.place,
                "not-copied",
                f"steps and dag of the entry point do not reach template {template.name.value!r}, "
                "so the Task Manager leaves it out",
                "call it from there, or remove it",
            )


def artifact_names_and_paths_are_valid(document: WorkflowTemplate) -> Iterator[FileFault]:
    """Names become parts of the names of secrets; paths have to be absolute."""
    for template in document.templates:
        for group in (template.inputs, template.outputs):
            yield from _artifact_faults(group, template)


def _artifact_faults(
    group: tuple[TemplateArtifact, ...], template: Template
) -> Iterator[FileFault]:
    seen: set[str] = set()
    for artifact in group:
        name = artifact.name.value
        if not _DNS_LABEL.fullmatch(name.lower()):
            label = re.sub("[^a-z0-9-]", "-", name.lower()).strip("-")
            yield FileFault(
                artifact.name.place,
                "artifact-dns-name",
                f"artifact {name!r} can't be part of the name of a Kubernetes secret (RFC 1123)",
                f"write {label!r}" if label else "write a name",
            )
        elif name in seen:
            yield FileFault(
                artifact.name.place,
                "artifact-doubled",
                f"two artifacts have the name {name!r}",
                "give one of them another name",
            )
        if template.container and not artifact.path.value.startswith("/"):
            yield FileFault(
                artifact.path.place,
                "artifact-path",
                f"artifact {name!r} has the path {artifact.path.value!r}, which is not absolute",
                "write an absolute path",
            )
        seen.add(name)


def totalmap_folders_are_artifacts(document: WorkflowTemplate) -> Iterator[FileFault]:
    """TotalMAP reads and writes in the folders that HOLOSCAN_* name."""
    for template in document.templates:
        if template.is_totalmap:
            yield from _old_variable_faults(template)
            yield from _folder_faults(
                template, "input", template.inputs, INPUT_VARIABLE, INPUT_FOLDER
            )
            yield from _folder_faults(
                template, "output", template.outputs, OUTPUT_VARIABLE, OUTPUT_FOLDER
            )


def _old_variable_faults(template: Template) -> Iterator[FileFault]:
    for name, value in template.environment.items():
        if name.startswith("MONAI_"):
            yield FileFault(
                value.place,
                "holoscan",
                f"TotalMAP does not read {name}",
                f"write {INPUT_VARIABLE}, {OUTPUT_VARIABLE} and so on",
            )


def _folder_faults(
    template: Template,
    direction: str,
    group: tuple[TemplateArtifact, ...],
    variable: str,
    default: str,
) -> Iterator[FileFault]:
    named = template.environment.get(variable)
    folder = named.value if named else default
    paths = [artifact.path for artifact in group]
    if folder.rstrip("/") not in [path.value.rstrip("/") for path in paths]:
        yield FileFault(
            paths[0].place if paths else template.place,
            "holoscan",
            f"no {direction} artifact has the path {folder}, TotalMAP's {direction} folder",
            f"add or correct the {direction} artifact with this path",
        )


def totalmap_weights_are_there(document: WorkflowTemplate) -> Iterator[FileFault]:
    """The weights are in their usual folder of the image, or in a volume."""
    for template in document.templates:
        variable = template.environment.get(MODELS_VARIABLE)
        if not template.is_totalmap or not variable:
            continue
        folder = PurePosixPath(variable.value)
        places = (MODELS_FOLDER, *template.mount_paths)
        if not any(place and folder.is_relative_to(place) for place in places):
            yield FileFault(
                variable.place,
                "models",
                f"there are no weights at {variable.value}: the image has them at {MODELS_FOLDER}, "
                "and no volume is mounted there",
                f"write {MODELS_FOLDER}/, or mount the weights",
            )


def totalmap_can_write(document: WorkflowTemplate) -> Iterator[FileFault]:
    """With a read-only root file system, /tmp and the output folder have to be volumes."""
    for template in document.templates:
        read_only = template.container.get("securityContext", "readOnlyRootFilesystem")
        if not template.is_totalmap or read_only.text != "true":
            continue
        for folder in ("/tmp", OUTPUT_FOLDER):  # noqa: S108
            if folder not in template.mount_paths:
                yield FileFault(
                    read_only.place,
                    "read-only",
                    f"the root file system is read-only, and {folder} is not a volume",
                    f"mount an emptyDir at {folder}",
                )


ARGO_TEMPLATE_RULES: tuple[ArgoTemplateRule, ...] = (
    entry_point_exists,
    template_names_differ,
    every_template_is_called_once,
    arguments_have_artifacts,
    every_template_is_copied,
    artifact_names_and_paths_are_valid,
    totalmap_folders_are_artifacts,
    totalmap_weights_are_there,
    totalmap_can_write,
)

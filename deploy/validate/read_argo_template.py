"""Reads an Argo WorkflowTemplate into dataclasses, with the line of each value."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from deploy.container_interface import is_totalmap_image
from deploy.validate.file_fault import Place
from deploy.validate.yaml_positions import LocatedText, LocatedValue

# Keys of an artifact that tell Argo its source without the Task Manager.
_SOURCES = ("from", "raw", "http", "git", "oss", "gcs", "hdfs", "azure", "artifactory")


@dataclass(frozen=True)
class TemplateArtifact:
    """An artifact of a template, or one that a step passes to it.

    Attributes:
        has_source: Whether Argo knows its source without the Task Manager.
    """

    place: Place
    name: LocatedText
    path: LocatedText
    has_source: bool


@dataclass(frozen=True)
class TemplateCall:
    """A step, or a task of a DAG, that runs a template."""

    place: Place
    template: LocatedText
    has_template_ref: bool
    has_arguments: bool
    arguments_place: Place
    artifacts: tuple[TemplateArtifact, ...]


@dataclass(frozen=True)
class Template:
    """One of the templates of a WorkflowTemplate."""

    place: Place
    name: LocatedText
    calls: tuple[TemplateCall, ...]
    inputs: tuple[TemplateArtifact, ...]
    outputs: tuple[TemplateArtifact, ...]
    value: LocatedValue
    container: LocatedValue
    deadline_seconds: LocatedText

    @property
    def image(self) -> LocatedText:
        """The image; empty if the template runs no container."""
        return self.container.get("image").as_text()

    @property
    def is_totalmap(self) -> bool:
        """Whether the template runs our image."""
        return is_totalmap_image(self.image.value)

    @cached_property
    def environment(self) -> Mapping[str, LocatedText]:
        """The variables of the container whose values the document holds."""
        return {
            variable.get("name").text: variable.get("value").as_text()
            for variable in self.container.get("env").items
        }

    @cached_property
    def mount_paths(self) -> tuple[str, ...]:
        """The folders of the container at which volumes are mounted, without a slash at the end."""
        mounts = self.container.get("volumeMounts").items
        return tuple(mount.get("mountPath").text.rstrip("/") for mount in mounts)


@dataclass(frozen=True)
class WorkflowTemplate:
    """An Argo WorkflowTemplate."""

    place: Place
    name: LocatedText
    namespace: LocatedText
    spec: LocatedValue
    entry_point: LocatedText
    templates: tuple[Template, ...]

    @cached_property
    def template_by_name(self) -> Mapping[str, Template]:
        """The templates by their names; of two with one name the first, as in the plug-in."""
        return {template.name.value: template for template in reversed(self.templates)}

    @cached_property
    def calls(self) -> tuple[TemplateCall, ...]:
        """All steps and DAG tasks of all templates."""
        return tuple(call for template in self.templates for call in template.calls)

    def copied_names(self) -> frozenset[str]:
        """Returns the names of the templates that the Task Manager copies."""
        found: set[str] = set()
        wanted = {self.entry_point.value}
        while wanted:
            found |= wanted
            callers = [
                self.template_by_name[name] for name in wanted if name in self.template_by_name
            ]
            wanted = {call.template.value for caller in callers for call in caller.calls} - found
        return frozenset(found)


def read_argo_template(document: LocatedValue) -> WorkflowTemplate:
    """Reads all values that can be read; `schema_faults` reports wrong ones."""
    spec = document.get("spec")
    return WorkflowTemplate(
        place=document.place,
        name=document.get("metadata", "name").as_text(),
        namespace=document.get("metadata", "namespace").as_text(),
        spec=spec,
        entry_point=spec.get("entrypoint").as_text(),
        templates=tuple(_template(template) for template in spec.get("templates").items),
    )


def _template(value: LocatedValue) -> Template:
    steps = [step for group in value.get("steps").items for step in group.items]
    return Template(
        place=value.place,
        name=value.get("name").as_text(),
        calls=tuple(_call(call) for call in (*steps, *value.get("dag", "tasks").items)),
        inputs=_artifacts(value.get("inputs", "artifacts")),
        outputs=_artifacts(value.get("outputs", "artifacts")),
        value=value,
        container=value.get("container"),
        deadline_seconds=value.get("activeDeadlineSeconds").as_text(),
    )


def _call(value: LocatedValue) -> TemplateCall:
    arguments = value.get("arguments")
    return TemplateCall(
        place=value.place,
        template=value.get("template").as_text(),
        has_template_ref=bool(value.get("templateRef")),
        has_arguments=bool(arguments),
        arguments_place=arguments.place,
        artifacts=_artifacts(arguments.get("artifacts")),
    )


def _artifacts(value: LocatedValue) -> tuple[TemplateArtifact, ...]:
    return tuple(
        TemplateArtifact(
            place=artifact.place,
            name=artifact.get("name").as_text(),
            path=artifact.get("path").as_text(),
            has_source=any(artifact.get(source) for source in _SOURCES),
        )
        for artifact in value.items
    )

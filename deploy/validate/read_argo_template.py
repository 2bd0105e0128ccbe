"""An Argo WorkflowTemplate, read into types that know their lines: what the Task Manager uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from deploy.validate.file_fault import Place
from deploy.validate.read_clinical_workflow import is_totalmap_image
from deploy.validate.yaml_positions import Node, Text


@dataclass(frozen=True)
class TemplateArtifact:
    """An artifact of a template, or one that a step hands over.

    Attributes:
        has_source: Argo knows where it comes from without the Task Manager.
    """

    place: Place
    name: Text
    path: Text
    has_source: bool


@dataclass(frozen=True)
class Call:
    """A step or a task of a DAG."""

    place: Place
    template: Text
    template_ref: Node
    has_arguments: bool
    arguments_place: Place
    artifacts: tuple[TemplateArtifact, ...]


@dataclass(frozen=True)
class Template:
    """One of the templates of the WorkflowTemplate."""

    place: Place
    name: Text
    calls: tuple[Call, ...]
    inputs: tuple[TemplateArtifact, ...]
    outputs: tuple[TemplateArtifact, ...]
    node: Node
    container: Node
    deadline_seconds: Text

    @property
    def image(self) -> Text:
        """The image, empty where no container is run."""
        return self.container.get("image").as_text()

    @property
    def is_totalmap(self) -> bool:
        """Says whether it runs our image."""
        return is_totalmap_image(self.image.value)

    def environment(self) -> Mapping[str, Text]:
        """Returns the variables of the container that are given in plain."""
        return {
            one.get("name").text: one.get("value").as_text()
            for one in self.container.get("env").items
        }


@dataclass(frozen=True)
class WorkflowTemplate:
    """The whole document."""

    place: Place
    api_version: Text
    kind: Text
    name: Text
    namespace: Text
    spec: Node
    entrypoint: Text
    templates: tuple[Template, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Template]:
        """The templates by their names; of two with the same name the first, as taken."""
        return {one.name.value: one for one in reversed(self.templates)}

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """All steps and tasks."""
        return tuple(call for one in self.templates for call in one.calls)

    def reached(self) -> frozenset[str]:
        """Returns the names of the templates that the Task Manager copies."""
        found: set[str] = set()
        wanted = {self.entrypoint.value}
        while wanted:
            found |= wanted
            wanted = {
                call.template.value
                for name in wanted
                for call in (self.by_name[name].calls if name in self.by_name else ())
            } - found
        return frozenset(found)


def read_template(node: Node) -> WorkflowTemplate:
    """Reads what can be read."""
    spec = node.get("spec")
    return WorkflowTemplate(
        place=node.place,
        api_version=node.get("apiVersion").as_text(),
        kind=node.get("kind").as_text(),
        name=node.get("metadata", "name").as_text(),
        namespace=node.get("metadata", "namespace").as_text(),
        spec=spec,
        entrypoint=spec.get("entrypoint").as_text(),
        templates=tuple(_template(one) for one in spec.get("templates").items),
    )


def _template(node: Node) -> Template:
    steps = [step for group in node.get("steps").items for step in group.items]
    return Template(
        place=node.place,
        name=node.get("name").as_text(),
        calls=tuple(_call(one) for one in (*steps, *node.get("dag", "tasks").items)),
        inputs=_artifacts(node.get("inputs", "artifacts")),
        outputs=_artifacts(node.get("outputs", "artifacts")),
        node=node,
        container=node.get("container"),
        deadline_seconds=node.get("activeDeadlineSeconds").as_text(),
    )


def _call(node: Node) -> Call:
    arguments = node.get("arguments")
    return Call(
        place=node.place,
        template=node.get("template").as_text(),
        template_ref=node.get("templateRef"),
        has_arguments=bool(arguments),
        arguments_place=arguments.place,
        artifacts=_artifacts(arguments.get("artifacts")),
    )


def _artifacts(node: Node) -> tuple[TemplateArtifact, ...]:
    sources = ("from", "raw", "http", "git", "oss", "gcs", "hdfs", "azure", "artifactory")
    return tuple(
        TemplateArtifact(
            place=one.place,
            name=one.get("name").as_text(),
            path=one.get("path").as_text(),
            has_source=any(one.get(source) for source in sources),
        )
        for one in node.items
    )

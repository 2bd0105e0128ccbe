"""Rules about the pods of a WorkflowTemplate: what Kubernetes and Argo refuse."""

import re
from collections.abc import Callable, Iterator

from deploy.validate.file_fault import Finding
from deploy.validate.image_tag_rule import image_findings
from deploy.validate.read_argo_template import Template, WorkflowTemplate
from deploy.validate.yaml_positions import Node

GPU = "nvidia.com/gpu"

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_FACTORS = {
    "": 1.0,
    "m": 1e-3,
    **{letter: 10.0 ** (3 * power) for power, letter in enumerate("kMGTP", start=1)},
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", start=1)},
}


def images(document: WorkflowTemplate) -> Iterator[Finding]:
    """The image has to be the same tomorrow, and its command known without it."""
    for template in document.templates:
        if template.container:
            yield from image_findings(template.image)
            yield from _command_findings(template)


def _command_findings(template: Template) -> Iterator[Finding]:
    command, args = template.container.get("command"), template.container.get("args")
    if not command:
        yield Finding(
            template.container.place,
            "command",
            f"template {template.name.value!r} has no command: Argo asks the registry for it, and "
            "fails where it can't",
            "write command, for TotalMAP [/var/holoscan/tools]",
        )
    elif [one.text for one in command.items[-1:]] == ["-c"] and not args.items:
        yield Finding(
            command.place,
            "command",
            f"{' '.join(one.text for one in command.items)} has nothing to run",
            "write args with the command for the shell",
        )


def resources(document: WorkflowTemplate) -> Iterator[Finding]:
    """Quantities as Kubernetes writes them, no request above its limit; a GPU is a limit."""
    for template in document.templates:
        node = template.container.get("resources")
        for kind in ("requests", "limits"):
            for entry in node.get(kind).entries:
                if _amount(entry.value) is None:
                    yield Finding(
                        entry.value.place,
                        "quantity",
                        f"{kind}.{entry.key} is {entry.value.text!r}, which Kubernetes can't read",
                        "write for example 8Gi, 500m or 1",
                    )
        yield from _request_findings(node)
        if template.is_totalmap and not node.get("limits", "memory"):
            yield Finding(
                node.place,
                "memory",
                "TotalMAP runs without a limit of memory: one large study can take the node down",
                "add resources.limits.memory, 8Gi for the usual CT",
            )


def _request_findings(node: Node) -> Iterator[Finding]:
    for entry in node.get("requests").entries:
        limit = node.get("limits", entry.key)
        asked, allowed = _amount(entry.value), _amount(limit)
        if entry.key == GPU and not limit:
            yield Finding(
                entry.value.place, "gpu", f"{GPU} is requested, not limited", "move it to limits"
            )
        elif asked is not None and allowed is not None and asked > allowed:
            yield Finding(
                entry.value.place,
                "request",
                f"requests.{entry.key} is {entry.value.text}, more than its limit {limit.text}",
                f"write at most {limit.text}, or raise the limit",
            )


def _amount(node: Node) -> float | None:
    match = _QUANTITY.fullmatch(node.text)
    return float(match[1]) * _FACTORS[match[2] or ""] if match else None


def volumes(document: WorkflowTemplate) -> Iterator[Finding]:
    """Kubernetes refuses a mount of a volume that is not there."""
    shared = (*document.spec.get("volumes").items, *_claims(document))
    for template in document.templates:
        own = template.node.get("volumes").items
        names = [one.get("name").text for one in (*own, *shared)]
        for mount in template.container.get("volumeMounts").items:
            name = mount.get("name").as_text()
            if name.value not in names:
                yield Finding(
                    name.place,
                    "volume",
                    f"volume {name.value!r} is mounted and is not among the volumes",
                    f"add it to volumes, or mount one of {', '.join(names) or 'them'}",
                )


def _claims(document: WorkflowTemplate) -> tuple[Node, ...]:
    claims = document.spec.get("volumeClaimTemplates").items
    return tuple(claim.get("metadata") for claim in claims)


def numbers(document: WorkflowTemplate) -> Iterator[Finding]:
    """Whole numbers, or what Argo puts in between braces."""
    for template in document.templates:
        for keys in (("activeDeadlineSeconds",), ("retryStrategy", "limit")):
            node = template.node.get(*keys)
            if node and not (node.text.isdigit() or "{{" in node.text):
                yield Finding(
                    node.place,
                    "number",
                    f"{'.'.join(keys)} is {node.text!r}",
                    "write a whole number",
                )


def synchronization(document: WorkflowTemplate) -> Iterator[Finding]:
    """The Task Manager's own limit of tasks at a time never binds: Argo has to queue them."""
    for template in document.templates:
        node = template.node.get("synchronization") or document.spec.get("synchronization")
        semaphore = node.get("semaphore")
        reference = semaphore.get("configMapKeyRef")
        if semaphore and not (reference.get("name") and reference.get("key")):
            yield Finding(
                semaphore.place,
                "semaphore",
                "the semaphore does not say which key of which ConfigMap holds its number",
                "add configMapKeyRef with name and key",
            )
        elif template.is_totalmap and not (
            node.entries or template.container.get("resources", "limits", GPU)
        ):
            yield Finding(
                template.place,
                "no-queue",
                "nothing limits how many studies are segmented at a time: the Task Manager's own "
                "limit does not work",
                "add synchronization with a semaphore to the template",
            )


PodRule = Callable[[WorkflowTemplate], Iterator[Finding]]
POD_RULES: tuple[PodRule, ...] = (images, resources, volumes, numbers, synchronization)

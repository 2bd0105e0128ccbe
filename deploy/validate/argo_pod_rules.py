"""Validates the pods of an Argo WorkflowTemplate: containers, resources, volumes and queues."""

import re
from collections.abc import Callable, Iterator

from deploy.validate.file_fault import FileFault
from deploy.validate.image_tag_rule import image_tag_faults
from deploy.validate.read_argo_template import Template, WorkflowTemplate
from deploy.validate.yaml_positions import LocatedValue

GPU = "nvidia.com/gpu"

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_FACTORS = {
    "": 1.0,
    "m": 1e-3,
    **{letter: 10.0 ** (3 * power) for power, letter in enumerate("kMGTP", start=1)},
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", start=1)},
}

ArgoPodRule = Callable[[WorkflowTemplate], Iterator[FileFault]]


def images_and_commands_are_named(document: WorkflowTemplate) -> Iterator[FileFault]:
    """The image has a version, and Argo knows the command without asking the registry."""
    for template in document.templates:
        if template.container:
            yield from image_tag_faults(template.image)
            yield from _command_faults(template)


def _command_faults(template: Template) -> Iterator[FileFault]:
    command, args = template.container.get("command"), template.container.get("args")
    words = [word.text for word in command.items]
    if not command:
        yield FileFault(
            template.container.place,
            "command",
            f"template {template.name.value!r} has no command: Argo asks the registry for it, and "
            "fails if it can't reach the registry",
            "write command, for TotalMAP [/var/holoscan/tools]",
        )
    elif words[-1:] == ["-c"] and not args.items:
        yield FileFault(
            command.place,
            "command",
            f"{' '.join(words)} has no command to run",
            "write args with the command for the shell",
        )


def resources_are_valid(document: WorkflowTemplate) -> Iterator[FileFault]:
    """Resources are quantities of Kubernetes; no request is above its limit; a GPU is a limit."""
    for template in document.templates:
        resources = template.container.get("resources")
        for kind in ("requests", "limits"):
            for entry in resources.get(kind).entries:
                if _amount(entry.value) is None:
                    yield FileFault(
                        entry.value.place,
                        "quantity",
                        f"{kind}.{entry.key} is {entry.value.text!r}, which Kubernetes can't read",
                        "write for example 8Gi, 500m or 1",
                    )
        yield from _request_faults(resources)
        if template.is_totalmap and not resources.get("limits", "memory"):
            yield FileFault(
                resources.place,
                "memory",
                "TotalMAP has no memory limit: one large study can bring the node down",
                "add resources.limits.memory, 8Gi for the usual CT",
            )


def _request_faults(resources: LocatedValue) -> Iterator[FileFault]:
    for entry in resources.get("requests").entries:
        limit = resources.get("limits", entry.key)
        asked, allowed = _amount(entry.value), _amount(limit)
        if entry.key == GPU and not limit:
            yield FileFault(
                entry.value.place,
                "gpu",
                f"{GPU} is in requests and not in limits",
                "move it to limits",
            )
        elif asked is not None and allowed is not None and asked > allowed:
            yield FileFault(
                entry.value.place,
                "request",
                f"requests.{entry.key} is {entry.value.text}, more than its limit {limit.text}",
                f"write at most {limit.text}, or raise the limit",
            )


def _amount(value: LocatedValue) -> float | None:
    match = _QUANTITY.fullmatch(value.text)
    return float(match[1]) * _FACTORS[match[2] or ""] if match else None


def mounted_volumes_exist(document: WorkflowTemplate) -> Iterator[FileFault]:
    """Kubernetes refuses the mount of a volume that does not exist."""
    claims = document.spec.get("volumeClaimTemplates").items
    shared = (
        *document.spec.get("volumes").items,
        *(claim.get("metadata") for claim in claims),
    )
    for template in document.templates:
        own = template.value.get("volumes").items
        names = [volume.get("name").text for volume in (*own, *shared)]
        for mount in template.container.get("volumeMounts").items:
            name = mount.get("name").as_text()
            if name.value not in names:
                yield FileFault(
                    name.place,
                    "volume",
                    f"volume {name.value!r} is mounted, but volumes does not have it",
                    f"add it to volumes, or mount one of {', '.join(names) or 'them'}",
                )


def studies_wait_in_a_queue(document: WorkflowTemplate) -> Iterator[FileFault]:
    """The Task Manager's own limit of parallel tasks has no effect: Argo has to queue them."""
    for template in document.templates:
        synchronization = template.value.get("synchronization") or document.spec.get(
            "synchronization"
        )
        semaphore = synchronization.get("semaphore")
        reference = semaphore.get("configMapKeyRef")
        if semaphore and not (reference.get("name") and reference.get("key")):
            yield FileFault(
                semaphore.place,
                "semaphore",
                "the semaphore does not name the ConfigMap and the key that hold its number",
                "add configMapKeyRef with name and key",
            )
        elif template.is_totalmap and not (
            synchronization.entries or template.container.get("resources", "limits", GPU)
        ):
            yield FileFault(
                template.place,
                "no-queue",
                "nothing limits how many studies are segmented at a time: the Task Manager's own "
                "limit has no effect",
                "add synchronization with a semaphore to the template",
            )


ARGO_POD_RULES: tuple[ArgoPodRule, ...] = (
    images_and_commands_are_named,
    resources_are_valid,
    mounted_volumes_exist,
    studies_wait_in_a_queue,
)

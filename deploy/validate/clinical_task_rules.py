"""Rules about single tasks, each of which belongs to some types.

Source: WorkflowValidator, ValidationConstants and ArgoParameters of the Workflow Manager, and the
plug-ins of its Task Manager.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from pydicom.datadict import tag_for_keyword

from deploy.validate.docker_task_rules import DOCKER_RULES
from deploy.validate.file_fault import Finding, Place
from deploy.validate.read_clinical_workflow import Task, Workflow
from deploy.validate.yaml_positions import Text

TYPES = (
    *("router", "argo", "docker", "export", "export_hl7", "remote_app_execution", "email"),
    "aide_clinical_review",
)
_EXPORTING = ("export", "export_hl7", "remote_app_execution")

# Arguments that must be there.
REQUIRED_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "argo": ("workflow_template_name",),
    "docker": (
        *("server_url", "entrypoint", "command", "container_image"),
        "temp_storage_container_path",
    ),
    "aide_clinical_review": (
        *("application_name", "application_version", "mode", "reviewed_task_id"),
        "notifications",
    ),
    "email": ("metadata_values",),
}
ARGO_ARGUMENTS = (
    *("namespace", "server_url", "allow_insecure", "workflow_template_name", "timeoutSeconds"),
    *("apiToken", "endpoint", "username", "password", "exchange", "virtualHost", "resources"),
    *("parameters", "priority", "cpu", "memory", "gpu_required"),
)
# What the documentation says, and what the code takes.
_MISSPELT = {
    "priority_class": "priority",
    "memory_gb": "memory",
    "gpu": "gpu_required",
    "number_gpus": "gpu_required",
    "timeout_seconds": "timeoutSeconds",
}
_SECRET_ARGUMENTS = ("apiToken", "password", "username")
_DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_MAIL_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>.]+(\.[^@\s,;<>.]+)*")

# Of dicomTagsDisallowed in the Workflow Manager's appsettings.json: what names the patient.
_PATIENT_KEYWORDS = re.compile(
    "(Issuer)?(Of)?Patient.*|OtherPatient.*|EthnicGroup|Occupation|SmokingStatus|PregnancyStatus|"
    "MilitaryRank|Allergies|MedicalAlerts|AdditionalPatientHistory|ResponsiblePerson.*|"
    "CountryOfResidence|RegionOfResidence|LastMenstrualDate|TypeOfPatientID"
)

TaskRule = Callable[[Workflow, Task], Iterator[Finding]]


def task_findings(workflow: Workflow) -> Iterator[Finding]:
    """Yields what is wrong with each task, by the rules of its type."""
    for task in workflow.tasks:
        kind = task.type.value
        if kind not in TYPES:
            yield _unknown_type(task)
            continue
        for rule in (*_RULES_OF_ALL, *_RULES_OF.get(kind, ())):
            yield from rule(workflow, task)


def _unknown_type(task: Task) -> Finding:
    kind = task.type.value.lower().replace("-", "_")
    close = [one for one in TYPES if one in (kind, f"aide_{kind}")]
    return Finding(
        task.type.place,
        "type-of-task",
        f"type {task.type.value!r} is not known",
        f"write {close[0]!r}" if close else f"write one of {', '.join(TYPES)}",
    )


def required_arguments(_: Workflow, task: Task) -> Iterator[Finding]:
    """An argument that is missing or empty."""
    for name in REQUIRED_ARGUMENTS.get(task.type.value, ()):
        if not task.args.get(name):
            yield Finding(
                task.args[name].place if name in task.args else task.args_place,
                "argument-missing",
                f"task {task.id.value!r} of type {task.type.value} has no argument {name}",
                f'add "{name}" to args',
            )


def inputs_are_named(_: Workflow, task: Task) -> Iterator[Finding]:
    """Every task but a router needs an input, with name and value."""
    if task.type.value == "router":
        return
    if not task.inputs:
        yield Finding(
            task.place,
            "input",
            f"task {task.id.value!r} has no input artifact",
            "add artifacts.input with a name and a value",
        )
    for artifact in task.inputs:
        for key, text in (("name", artifact.name), ("value", artifact.value)):
            if not text:
                yield Finding(text.place, "input", f"an input has no {key}", f"give it a {key}")


def output_names_differ(_: Workflow, task: Task) -> Iterator[Finding]:
    """Two outputs of a name would be written over each other."""
    count = Counter(one.name.value for one in task.outputs)
    for artifact in task.outputs[1:]:
        if count[artifact.name.value] > 1:
            yield Finding(
                artifact.name.place,
                "output",
                f"output {artifact.name.value!r} is there {count[artifact.name.value]} times",
                "give each output its own name",
            )
            return


def timeout(_: Workflow, task: Task) -> Iterator[Finding]:
    """Minutes; -1 is the Workflow Manager's default of 60."""
    minutes = task.timeout_minutes
    if minutes.value is not None and minutes.value != -1 and minutes.value <= 0:
        yield Finding(
            minutes.place,
            "timeout",
            f"timeout_minutes is {minutes.value:g}: the task is over before it starts",
            "write the minutes that the longest study takes, with time to wait in the queue",
        )


def secrets_stay_outside(_: Workflow, task: Task) -> Iterator[Finding]:
    """The file is stored in the database and shown by the REST interface."""
    for name in _SECRET_ARGUMENTS:
        if task.args.get(name):
            yield Finding(
                task.args[name].place,
                "secret",
                f"argument {name} puts a secret into a file that the Workflow Manager shows to all",
                "leave it out and give it to the Task Manager's own settings",
            )


def known_argo_arguments(_: Workflow, task: Task) -> Iterator[Finding]:
    """Any other refuses the workflow."""
    for name, value in task.args.items():
        if name not in ARGO_ARGUMENTS:
            yield Finding(
                value.place,
                "argument",
                f"an argo task has no argument {name!r}",
                f"write {_MISSPELT[name]!r}"
                if name in _MISSPELT
                else f"keep to {', '.join(ARGO_ARGUMENTS)}",
            )


def argo_values(_: Workflow, task: Task) -> Iterator[Finding]:
    """What the validator and the plug-in accept as values."""
    for name, (is_good, remedy) in _ARGO_VALUES.items():
        value = task.args.get(name)
        if value is not None and not is_good(value.value):
            yield Finding(
                value.place, "argument-value", f"{name} is {value.value!r}", f"write {remedy}"
            )


def argo_deadline(_: Workflow, task: Task) -> Iterator[Finding]:
    """The Workflow Manager's own time-out ends the Argo workflow; a later deadline is no use."""
    seconds, limit = task.args.get("timeoutSeconds"), task.limit_minutes
    if seconds and seconds.value.isdigit() and 0 < limit * 60 < int(seconds.value):
        yield Finding(
            seconds.place,
            "timeout-order",
            f"timeoutSeconds is {seconds.value}, but the Workflow Manager stops the task after "
            f"timeout_minutes = {limit:g}, {limit * 60:g} s",
            f"write at most {limit * 60:g}, or set a larger timeout_minutes",
        )


def argo_artifact_names(_: Workflow, task: Task) -> Iterator[Finding]:
    """The Task Manager makes a Kubernetes secret with the name of the artifact."""
    for artifact in (*task.inputs, *task.outputs):
        name = artifact.name.value
        if name and not _DNS_NAME.fullmatch(name.lower()):
            yield Finding(
                artifact.name.place,
                "artifact-dns-name",
                f"artifact {name!r} can't be part of a secret's name (RFC 1123)",
                f"write {re.sub('[^a-z0-9-]', '-', name.lower()).strip('-')!r}",
            )


def exports_somewhere(_: Workflow, task: Task) -> Iterator[Finding]:
    """An export needs a destination."""
    if not task.exports:
        yield Finding(
            task.place,
            "export",
            f"task {task.id.value!r} has no export_destinations",
            'add "export_destinations": [{"name": "..."}]',
        )


def remote_outputs(_: Workflow, task: Task) -> Iterator[Finding]:
    """A remote application answers with objects of known types."""
    if not task.outputs or not all(one.type for one in task.outputs):
        place = next((one.name.place for one in task.outputs if not one.type), task.place)
        yield Finding(
            place,
            "remote-output",
            f"task {task.id.value!r} needs outputs, each with the type of DICOM object that comes",
            'add for example {"name": "result", "type": "SEG"}',
        )


def review(workflow: Workflow, task: Task) -> Iterator[Finding]:
    """Only results of argo and remote applications can be reviewed."""
    reviewed = task.args.get("reviewed_task_id")
    if reviewed:
        earlier = workflow.by_id.get(reviewed.value)
        if earlier is None or earlier.type.value not in ("argo", "remote_app_execution"):
            what = f"of type {earlier.type.value}" if earlier else "not there"
            yield Finding(
                reviewed.place,
                "review",
                f"task {reviewed.value!r} is {what}: only argo and remote_app_execution can be "
                "reviewed",
                "run the application under argo",
            )
    for name, allowed in (("mode", "qa research clinical"), ("notifications", "true false")):
        value = task.args.get(name)
        if value and value.value.lower() not in allowed.split():
            yield Finding(
                value.place,
                "argument-value",
                f"{name} is {value.value!r}",
                f"write one of {', '.join(allowed.split())}",
            )


def email_recipients(_: Workflow, task: Task) -> Iterator[Finding]:
    """Addresses or roles, separated by commas."""
    addresses = task.args.get("recipient_emails")
    if not addresses and not task.args.get("recipient_roles"):
        yield Finding(
            task.args_place,
            "email",
            "there are neither recipient_emails nor recipient_roles",
            'add "recipient_emails": "someone@hospital.example"',
        )
    for address, place in _words(addresses):
        if not _MAIL_ADDRESS.fullmatch(address):
            yield Finding(
                place,
                "email",
                f"{address!r} is not an e-mail address",
                "separate addresses by commas",
            )


def email_metadata(_: Workflow, task: Task) -> Iterator[Finding]:
    """DICOM keywords that say which study it is about, and nothing about the patient."""
    for keyword, place in _words(task.args.get("metadata_values")):
        if _PATIENT_KEYWORDS.fullmatch(keyword):
            yield Finding(
                place,
                "email-patient",
                f"{keyword} tells about the patient and is not allowed in a mail",
                "take StudyInstanceUID or AccessionNumber",
            )
        elif tag_for_keyword(keyword) is None:
            yield Finding(
                place,
                "email",
                f"{keyword!r} is not a DICOM keyword",
                "write it as in PS3.6, for example StudyInstanceUID",
            )


def _words(text: Text | None) -> list[tuple[str, Place]]:
    if text is None:
        return []
    return [(word.strip(), text.place) for word in text.value.split(",") if word.strip()]


def _is_cpu(text: str) -> bool:
    try:
        number = float(text)
    except ValueError:
        return bool(text)  # as the validator: 500m passes
    return number >= 1 and number.is_integer()


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme and parts.netloc)


def _is_bool(text: str) -> bool:
    return text.strip().lower() in ("true", "false")


def _is_quantity(text: str) -> bool:
    return bool(re.fullmatch(r"\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?", text))


_ARGO_VALUES: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "priority": (lambda text: text.lower() in ("high", "standard", "low"), "high, standard or low"),
    "cpu": (_is_cpu, "a whole number from 1 on"),
    "memory": (_is_quantity, "a Kubernetes quantity, for example 8Gi"),
    "gpu_required": (_is_bool, "'true' or 'false'"),
    "allow_insecure": (_is_bool, "'true' or 'false'"),
    "server_url": (_is_url, "a whole URL, for example https://argo-server.argo:2746"),
    "timeoutSeconds": (str.isdigit, "whole seconds; anything else is passed over"),
}

_RULES_OF_ALL: tuple[TaskRule, ...] = (
    required_arguments,
    inputs_are_named,
    output_names_differ,
    timeout,
    secrets_stay_outside,
)
_RULES_OF: Mapping[str, tuple[TaskRule, ...]] = {
    "argo": (known_argo_arguments, argo_values, argo_deadline, argo_artifact_names),
    "docker": DOCKER_RULES,
    "export": (exports_somewhere,),
    "export_hl7": (exports_somewhere,),
    "remote_app_execution": (exports_somewhere, remote_outputs),
    "aide_clinical_review": (review,),
    "email": (email_recipients, email_metadata),
}

"""Validates each task of a clinical workflow by the rules of its type.

Source: WorkflowValidator, ValidationConstants and ArgoParameters of the Workflow Manager, and the
plug-ins of its Task Manager. docker_task_rules.py has the rules of docker tasks, and
clinical_review_rules.py those of clinical reviews.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from deploy.validate.clinical_review_rules import CLINICAL_REVIEW, CLINICAL_REVIEW_RULES
from deploy.validate.docker_task_rules import DOCKER_TASK_RULES
from deploy.validate.file_fault import FileFault, Place
from deploy.validate.read_clinical_workflow import ClinicalWorkflow, Task
from deploy.validate.yaml_positions import LocatedText

_REQUIRED_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "argo": ("workflow_template_name",),
    "docker": (
        *("server_url", "entrypoint", "command", "container_image"),
        "temp_storage_container_path",
    ),
    CLINICAL_REVIEW: (
        *("application_name", "application_version", "mode", "reviewed_task_id"),
        "notifications",
    ),
    "email": ("metadata_values",),
}
_ARGO_ARGUMENTS = (
    *("namespace", "server_url", "allow_insecure", "workflow_template_name", "timeoutSeconds"),
    *("apiToken", "endpoint", "username", "password", "exchange", "virtualHost", "resources"),
    *("parameters", "priority", "cpu", "memory", "gpu_required"),
)
# {name in the Workflow Manager's documentation: name in its code}
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

# From dicomTagsDisallowed in the Workflow Manager's appsettings.json: attributes of the patient.
_PATIENT_KEYWORDS = re.compile(
    "(Issuer)?(Of)?Patient.*|OtherPatient.*|EthnicGroup|Occupation|SmokingStatus|PregnancyStatus|"
    "MilitaryRank|Allergies|MedicalAlerts|AdditionalPatientHistory|ResponsiblePerson.*|"
    "CountryOfResidence|RegionOfResidence|LastMenstrualDate|TypeOfPatientID"
)

TaskRule = Callable[[ClinicalWorkflow, Task], Iterator[FileFault]]


def task_faults(workflow: ClinicalWorkflow) -> Iterator[FileFault]:
    """Yields the faults of each task, by the rules of its type; the schema knows the types."""
    for task in workflow.tasks:
        if task.type.value in _RULES_OF_TYPE:
            for rule in (*_RULES_OF_ALL_TYPES, *_RULES_OF_TYPE[task.type.value]):
                yield from rule(workflow, task)


def required_arguments_are_set(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The plug-in of the task's type refuses a task without its required arguments."""
    for name in _REQUIRED_ARGUMENTS.get(task.type.value, ()):
        if not task.args.get(name):
            yield FileFault(
                task.args[name].place if name in task.args else task.args_place,
                "argument-missing",
                f"task {task.id.value!r} of type {task.type.value} lacks the argument {name}",
                f'add "{name}" to args',
            )


def inputs_have_name_and_value(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """Every task but a router needs an input."""
    if task.type.value == "router":
        return
    if not task.inputs:
        yield FileFault(
            task.place,
            "input",
            f"task {task.id.value!r} has no input artifact",
            "add artifacts.input with a name and a value",
        )
    for artifact in task.inputs:
        for key, text in (("name", artifact.name), ("value", artifact.value)):
            if not text:
                yield FileFault(text.place, "input", f"an input has no {key}", f"add its {key}")


def output_names_differ(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """If two outputs have one name, one overwrites the other."""
    count = Counter(output.name.value for output in task.outputs)
    for artifact in task.outputs[1:]:
        if count[artifact.name.value] > 1:
            yield FileFault(
                artifact.name.place,
                "output",
                f"{count[artifact.name.value]} outputs have the name {artifact.name.value!r}",
                "give each output its own name",
            )
            return


def timeout_is_positive(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The unit is minutes; -1 stands for the default of 60."""
    minutes = task.timeout_minutes
    if minutes.value is not None and minutes.value != -1 and minutes.value <= 0:
        yield FileFault(
            minutes.place,
            "timeout",
            f"timeout_minutes is {minutes.value:g}: the task ends before it starts",
            "write the minutes of the longest study, with its wait in the queue",
        )


def arguments_hold_no_secret(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The Workflow Manager stores the file and shows it by its REST interface."""
    for name in _SECRET_ARGUMENTS:
        if task.args.get(name):
            yield FileFault(
                task.args[name].place,
                "secret",
                f"argument {name} holds a secret; the Workflow Manager shows the file to all users",
                "leave it out and set it in the Task Manager's own settings",
            )


def argo_arguments_are_known(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The Workflow Manager refuses a workflow with other arguments."""
    for name, value in task.args.items():
        if name not in _ARGO_ARGUMENTS:
            yield FileFault(
                value.place,
                "argument",
                f"an argo task has no argument {name!r}",
                f"write {_MISSPELT[name]!r}"
                if name in _MISSPELT
                else f"write one of {', '.join(_ARGO_ARGUMENTS)}",
            )


def argo_values_are_valid(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The validator and the plug-in accept no other values."""
    for name, (is_good, remedy) in _ARGO_VALUES.items():
        value = task.args.get(name)
        if value is not None and not is_good(value.value):
            yield FileFault(
                value.place, "argument-value", f"{name} is {value.value!r}", f"write {remedy}"
            )


def argo_deadline_is_in_order(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """A deadline after the Workflow Manager's own time-out has no effect."""
    seconds, limit = task.args.get("timeoutSeconds"), task.limit_minutes
    if seconds and seconds.value.isdigit() and 0 < limit * 60 < int(seconds.value):
        yield FileFault(
            seconds.place,
            "timeout-order",
            f"timeoutSeconds is {seconds.value}, but the Workflow Manager stops the task after "
            f"timeout_minutes = {limit:g}, {limit * 60:g} s",
            f"write at most {limit * 60:g}, or set a larger timeout_minutes",
        )


def argo_artifact_names_are_dns_labels(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The Task Manager names a Kubernetes secret after the artifact."""
    for artifact in (*task.inputs, *task.outputs):
        name = artifact.name.value
        if name and not _DNS_NAME.fullmatch(name.lower()):
            yield FileFault(
                artifact.name.place,
                "artifact-dns-name",
                f"artifact {name!r} can't be part of the name of a Kubernetes secret (RFC 1123)",
                f"write {re.sub('[^a-z0-9-]', '-', name.lower()).strip('-')!r}",
            )


def export_has_destinations(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """An export without a destination sends nothing."""
    if not task.exports:
        yield FileFault(
            task.place,
            "export",
            f"task {task.id.value!r} has no export_destinations",
            'add "export_destinations": [{"name": "..."}]',
        )


def remote_outputs_have_types(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """A remote application returns objects of the types that its outputs name."""
    untyped = [output for output in task.outputs if not output.type]
    if untyped or not task.outputs:
        place = untyped[0].name.place if untyped else task.place
        yield FileFault(
            place,
            "remote-output",
            f"task {task.id.value!r} needs outputs, each with the type of its DICOM objects",
            'add for example {"name": "result", "type": "SEG"}',
        )


def email_has_recipients(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """Recipients are addresses or roles, with commas between them."""
    addresses = task.args.get("recipient_emails")
    if not addresses and not task.args.get("recipient_roles"):
        yield FileFault(
            task.args_place,
            "email",
            "the mail has neither recipient_emails nor recipient_roles",
            'add "recipient_emails": "someone@hospital.example"',
        )
    for address, place in _words(addresses):
        if not _MAIL_ADDRESS.fullmatch(address):
            yield FileFault(
                place,
                "email",
                f"{address!r} is not an e-mail address",
                "write e-mail addresses with commas between them",
            )


def email_names_no_patient(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """A mail may hold attributes of the study, but none of the patient."""
    # Imported only for a mail: pydicom takes a fifth of a second.
    from pydicom.datadict import tag_for_keyword

    for keyword, place in _words(task.args.get("metadata_values")):
        if _PATIENT_KEYWORDS.fullmatch(keyword):
            yield FileFault(
                place,
                "email-patient",
                f"{keyword} is an attribute of the patient, which a mail may not hold",
                "write StudyInstanceUID or AccessionNumber",
            )
        elif tag_for_keyword(keyword) is None:
            yield FileFault(
                place,
                "email",
                f"{keyword!r} is not a DICOM keyword",
                "write a keyword of PS3.6, for example StudyInstanceUID",
            )


def _words(text: LocatedText | None) -> list[tuple[str, Place]]:
    if text is None:
        return []
    return [(word.strip(), text.place) for word in text.value.split(",") if word.strip()]


def _is_cpu(text: str) -> bool:
    try:
        number = float(text)
    except ValueError:
        return bool(text)  # the validator accepts 500m too
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
    "timeoutSeconds": (str.isdigit, "whole seconds; the Task Manager ignores any other value"),
}

_RULES_OF_ALL_TYPES: tuple[TaskRule, ...] = (
    required_arguments_are_set,
    inputs_have_name_and_value,
    output_names_differ,
    timeout_is_positive,
    arguments_hold_no_secret,
)
_RULES_OF_TYPE: Mapping[str, tuple[TaskRule, ...]] = {
    "router": (),
    "argo": (
        argo_arguments_are_known,
        argo_values_are_valid,
        argo_deadline_is_in_order,
        argo_artifact_names_are_dns_labels,
    ),
    "docker": DOCKER_TASK_RULES,
    "export": (export_has_destinations,),
    "export_hl7": (export_has_destinations,),
    "remote_app_execution": (export_has_destinations, remote_outputs_have_types),
    CLINICAL_REVIEW: CLINICAL_REVIEW_RULES,
    "email": (email_has_recipients, email_names_no_patient),
}

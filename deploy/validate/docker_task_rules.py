"""Validates the docker tasks of a clinical workflow.

Source: DockerPlugin and ContainerStatusMonitor of the Task Manager. The plug-in mounts folders for
the artifacts and nothing else. A container that has ended counts as a success, whatever its exit
status. After its time-out it stops watching the container and reports nothing.
"""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from deploy.container_interface import (
    INPUT_FOLDER,
    INPUT_VARIABLE,
    MODELS_FOLDER,
    MODELS_VARIABLE,
    OUTPUT_FOLDER,
    OUTPUT_VARIABLE,
)
from deploy.validate.file_fault import FileFault
from deploy.validate.image_tag_rule import image_tag_faults
from deploy.validate.read_clinical_workflow import ClinicalWorkflow, Task

# The prefix of an argument that becomes a variable of the container.
VARIABLE_PREFIX = "env_"
INPUT_ARTIFACT = f"{VARIABLE_PREFIX}{INPUT_VARIABLE}"
OUTPUT_ARTIFACT = f"{VARIABLE_PREFIX}{OUTPUT_VARIABLE}"

_ARGUMENTS = (
    *("server_url", "entrypoint", "command", "container_image", "temp_storage_container_path"),
    *("user", "always_pull", "task_timeout_minutes"),
)

DockerTaskRule = Callable[[ClinicalWorkflow, Task], Iterator[FileFault]]


def arguments_are_known(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """An argument that is no option, no variable and no mount has no effect."""
    mounts = {artifact.name.value for artifact in (*task.inputs, *task.outputs)}
    for name, value in task.args.items():
        if name not in _ARGUMENTS and name not in mounts and not name.startswith(VARIABLE_PREFIX):
            yield FileFault(
                value.place,
                "argument",
                f"a docker task has no argument {name!r}; the Task Manager ignores it",
                f"write one of {', '.join(_ARGUMENTS)}, or {VARIABLE_PREFIX}NAME for a variable",
            )
        elif name.startswith(VARIABLE_PREFIX) and VARIABLE_PREFIX in name.removeprefix(
            VARIABLE_PREFIX
        ):
            yield FileFault(
                value.place,
                "variable",
                f"the Task Manager removes every {VARIABLE_PREFIX!r} from {name!r}, so the "
                "variable gets another name",
                f"use a name without {VARIABLE_PREFIX!r} in it",
            )


def server_url_is_a_url(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The Docker engine listens at this address."""
    value = task.args.get("server_url")
    if value and not urlsplit(value.value).scheme:
        yield FileFault(
            value.place,
            "argument-value",
            f"server_url is {value.value!r}, which is not a URL",
            "write unix:///var/run/docker.sock",
        )


def artifacts_have_mounts(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The argument with the name of an artifact holds the path at which it is mounted."""
    for artifact in (*task.inputs, *task.outputs):
        name = artifact.name.value
        if not name:
            continue
        path = task.args.get(name)
        if path is None:
            yield FileFault(
                artifact.name.place,
                "mount",
                f"artifact {name!r} is not mounted: args has no key {name!r} with the path",
                f'add "{name}": "/a/folder" to args, or name the artifact as a key of args',
            )
        elif not path.value.startswith("/"):
            yield FileFault(
                path.place,
                "mount",
                f"{name} is {path.value!r}; a mount needs an absolute path",
                "write the path from / on",
            )


def temporary_storage_is_absolute(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The folder is in the Task Manager's own container."""
    path = task.args.get("temp_storage_container_path")
    if path and not path.value.startswith("/"):
        yield FileFault(
            path.place,
            "mount",
            f"temp_storage_container_path is {path.value!r}, which is not an absolute path in the "
            "Task Manager's container",
            "write /var/lib/mde/, the mount of MONAI Deploy Express",
        )


def image_has_a_version(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The same file has to run the same image every time."""
    if task.image:
        yield from image_tag_faults(task.image)


def container_timeout_is_in_order(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """After its time-out the plug-in stops watching the container, and the results are lost."""
    value = task.args.get("task_timeout_minutes")
    if value is None:
        yield FileFault(
            task.args_place,
            "docker-timeout",
            "task_timeout_minutes is not set: after 5 minutes the Task Manager stops watching the "
            "container, and the results are lost",
            'add "task_timeout_minutes" with the minutes of the longest study',
        )
        return
    if not value.value.strip().isdigit() or int(value.value) == 0:
        yield FileFault(
            value.place,
            "docker-timeout",
            f"task_timeout_minutes is {value.value!r}; the Task Manager reads anything but whole "
            "minutes as 5, and 0 as no time at all",
            "write whole minutes from 1 on",
        )
        return
    limit = task.limit_minutes
    if 0 < limit < int(value.value):
        yield FileFault(
            value.place,
            "timeout-order",
            f"task_timeout_minutes is {value.value}, but the Workflow Manager kills the container "
            f"after timeout_minutes = {limit:g}",
            f'set "timeout_minutes" of the task above {value.value}',
        )


def command_is_split_at_commas(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The plug-in splits entry point and command at commas, and at nothing else."""
    start, command = task.args.get("entrypoint"), task.args.get("command")
    for text in (start, command):
        if text and text.value.lstrip().startswith("["):
            yield FileFault(
                text.place,
                "command",
                f"the plug-in does not read {text.value!r} as a list: it splits at commas only",
                "write the words with commas between them: python3,-m,app",
            )
            return
    if not start:
        return
    program = start.value.partition(",")[0]
    if " " in program.strip():
        yield FileFault(
            start.place,
            "command",
            f"the plug-in splits entrypoint {start.value!r} at commas only and looks for a program "
            f"{program!r}",
            f"write {','.join(start.value.split())!r}",
        )
    if command and start.value.endswith(",-c") and "," in command.value:
        yield FileFault(
            command.place,
            "command",
            f"the plug-in splits the command at commas: {start.value} gets "
            f"{command.value.partition(',')[0]!r} only",
            "write the command without commas, or put it into a script",
        )


def totalmap_folders_are_mounted(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """TotalMAP reads HOLOSCAN_*, and not the older MONAI_* of published samples."""
    if not task.is_totalmap:
        return
    for name, value in task.args.items():
        if name.startswith(f"{VARIABLE_PREFIX}MONAI_"):
            yield FileFault(
                value.place,
                "holoscan",
                f"TotalMAP does not read {name.removeprefix(VARIABLE_PREFIX)}",
                f"write {INPUT_ARTIFACT}, {OUTPUT_ARTIFACT}, {VARIABLE_PREFIX}{MODELS_VARIABLE} "
                "and so on",
            )
    for key, artifacts, direction, folder in (
        (INPUT_ARTIFACT, task.inputs, "input", INPUT_FOLDER),
        (OUTPUT_ARTIFACT, task.outputs, "output", OUTPUT_FOLDER),
    ):
        names = [artifact.name for artifact in artifacts]
        if key not in [name.value for name in names]:
            yield FileFault(
                names[0].place if names else task.place,
                "holoscan",
                f"no {direction} artifact has the name {key}, so TotalMAP's {direction} folder is "
                "not mounted",
                f"name the {direction} {key} and give args the path {folder}/",
            )


def totalmap_weights_are_in_the_image(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """The plug-in mounts artifacts only, so the weights have to be in the image."""
    path = task.args.get(f"{VARIABLE_PREFIX}{MODELS_VARIABLE}")
    if task.is_totalmap and path and path.value.rstrip("/") != MODELS_FOLDER:
        yield FileFault(
            path.place,
            "models",
            f"there are no weights at {path.value}: the image has them at {MODELS_FOLDER}, and "
            "others can't be mounted",
            f"write {MODELS_FOLDER}/",
        )


def totalmap_input_is_mandatory(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """TotalMAP can't do anything without a study."""
    for artifact in task.inputs if task.is_totalmap else ():
        if not artifact.mandatory:
            yield FileFault(
                artifact.mandatory_place,
                "mandatory",
                f"input {artifact.name.value!r} is not mandatory: the container would run without "
                "a study",
                'write "mandatory": true',
            )


def totalmap_user_is_set(_: ClinicalWorkflow, task: Task) -> Iterator[FileFault]:
    """Without a user, the folders belong to the Task Manager's user, root."""
    if task.is_totalmap and not task.args.get("user"):
        yield FileFault(
            task.args_place,
            "user",
            "user is not set: the output folder belongs to root, and TotalMAP does not run as root",
            'add "user": "1000:1000"',
        )


def totalmap_failure_stops_the_workflow(
    workflow: ClinicalWorkflow, task: Task
) -> Iterator[FileFault]:
    """The plug-in treats a failed container as a success, so the next task has to need `results`.

    TotalMAP writes status.json after a failure too: its output folder is never empty.
    """
    if not task.is_totalmap:
        return
    for later in workflow.tasks:
        for artifact in later.inputs:
            value = artifact.value
            if f"context.executions.{task.id.value}." not in value.value:
                continue
            if not value.value.rstrip("/").endswith("/results") or "}}" in value.value:
                yield FileFault(
                    value.place,
                    "failure-is-success",
                    "the Task Manager treats a failed container as a success, and "
                    f"{value.value!r} exists after a failure too (status.json)",
                    f"write '{{ context.executions.{task.id.value}.output_dir }}/{OUTPUT_ARTIFACT}"
                    "/results', which exists after a success only",
                )
            elif not artifact.mandatory:
                yield FileFault(
                    artifact.mandatory_place,
                    "failure-is-success",
                    "the Task Manager treats a failed container as a success; without a mandatory "
                    "input here the failure is not noticed",
                    'write "mandatory": true',
                )


DOCKER_TASK_RULES: tuple[DockerTaskRule, ...] = (
    arguments_are_known,
    server_url_is_a_url,
    artifacts_have_mounts,
    image_has_a_version,
    container_timeout_is_in_order,
    command_is_split_at_commas,
    temporary_storage_is_absolute,
    totalmap_folders_are_mounted,
    totalmap_weights_are_in_the_image,
    totalmap_input_is_mandatory,
    totalmap_user_is_set,
    totalmap_failure_stops_the_workflow,
)

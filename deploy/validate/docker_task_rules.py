"""Rules about docker tasks.

Source: DockerPlugin and ContainerStatusMonitor of the Task Manager. The plug-in mounts folders for
the artifacts and nothing else, calls a container that ended with any exit status a success, and
stops watching it without a word after its time-out.
"""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from deploy.validate.file_fault import Finding
from deploy.validate.image_tag_rule import image_findings
from deploy.validate.read_clinical_workflow import Task, Workflow

ENV = "env_"
INPUT_KEY = f"{ENV}HOLOSCAN_INPUT_PATH"
OUTPUT_KEY = f"{ENV}HOLOSCAN_OUTPUT_PATH"
MODELS = "/opt/holoscan/models"

_ARGUMENTS = (
    *("server_url", "entrypoint", "command", "container_image", "temp_storage_container_path"),
    *("user", "always_pull", "task_timeout_minutes"),
)


def known_arguments(_: Workflow, task: Task) -> Iterator[Finding]:
    """What is neither an argument nor a variable nor a mount has no effect at all."""
    mounts = {one.name.value for one in (*task.inputs, *task.outputs)}
    for name, value in task.args.items():
        if name not in _ARGUMENTS and name not in mounts and not name.startswith(ENV):
            yield Finding(
                value.place,
                "argument",
                f"a docker task has no argument {name!r}; it is passed over",
                f"keep to {', '.join(_ARGUMENTS)} and {ENV}NAME for variables",
            )
        elif name.startswith(ENV) and ENV in name.removeprefix(ENV):
            yield Finding(
                value.place,
                "variable",
                f"of {name!r} every {ENV!r} is cut out, so that the variable gets another name",
                f"take a name without {ENV!r} in it",
            )


def server_url(_: Workflow, task: Task) -> Iterator[Finding]:
    """Where the Docker engine listens."""
    value = task.args.get("server_url")
    if value and not urlsplit(value.value).scheme:
        yield Finding(
            value.place,
            "argument-value",
            f"server_url is {value.value!r}, which is not a URL",
            "write unix:///var/run/docker.sock",
        )


def mounts(_: Workflow, task: Task) -> Iterator[Finding]:
    """The name of an artifact is the key of the argument that holds its path."""
    for artifact in (*task.inputs, *task.outputs):
        name = artifact.name.value
        if not name:
            continue
        path = task.args.get(name)
        if path is None:
            yield Finding(
                artifact.name.place,
                "mount",
                f"artifact {name!r} has no argument of this name that says where to mount it",
                f'add "{name}": "/a/folder" to args, or name the artifact as one of them',
            )
        elif not path.value.startswith("/"):
            yield Finding(
                path.place,
                "mount",
                f"{name} is {path.value!r}; a mount needs an absolute path",
                "write the path from / on",
            )


def temporary_storage(_: Workflow, task: Task) -> Iterator[Finding]:
    """A folder inside the Task Manager's own container."""
    path = task.args.get("temp_storage_container_path")
    if path and not path.value.startswith("/"):
        yield Finding(
            path.place,
            "mount",
            f"temp_storage_container_path is {path.value!r}; it is a path in the Task Manager",
            "write /var/lib/mde/, where MONAI Deploy Express mounts it",
        )


def image(_: Workflow, task: Task) -> Iterator[Finding]:
    """The image has to be the same tomorrow."""
    if task.image:
        yield from image_findings(task.image)


def container_timeout(_: Workflow, task: Task) -> Iterator[Finding]:
    """After it nobody watches the container any more, and its results are lost."""
    value = task.args.get("task_timeout_minutes")
    if value is None:
        yield Finding(
            task.args_place,
            "docker-timeout",
            "task_timeout_minutes is not set: after 5 minutes nobody watches the container and its "
            "results are lost",
            'add "task_timeout_minutes" with the minutes of the longest study',
        )
        return
    if not value.value.strip().isdigit() or int(value.value) == 0:
        yield Finding(
            value.place,
            "docker-timeout",
            f"task_timeout_minutes is {value.value!r}; other than whole minutes it is taken as 5, "
            "and 0 as no time at all",
            "write whole minutes from 1 on",
        )
        return
    limit = task.limit_minutes
    if 0 < limit < int(value.value):
        yield Finding(
            value.place,
            "timeout-order",
            f"task_timeout_minutes is {value.value}, but the Workflow Manager kills the container "
            f"after timeout_minutes = {limit:g}",
            f'set "timeout_minutes" of the task above {value.value}',
        )


def entrypoint(_: Workflow, task: Task) -> Iterator[Finding]:
    """Entry point and command are split at commas, and at nothing else."""
    start, command = task.args.get("entrypoint"), task.args.get("command")
    for text in (start, command):
        if text and text.value.lstrip().startswith("["):
            yield Finding(
                text.place,
                "command",
                f"{text.value!r} is no list to the plug-in, which splits at commas alone",
                "write the words with commas between them: python3,-m,app",
            )
            return
    if not start:
        return
    program = start.value.partition(",")[0]
    if " " in program.strip():
        yield Finding(
            start.place,
            "command",
            f"entrypoint {start.value!r} is split at commas alone, so that {program!r} is taken "
            "for the name of a program",
            f"write {','.join(start.value.split())!r}",
        )
    if command and start.value.endswith(",-c") and "," in command.value:
        yield Finding(
            command.place,
            "command",
            f"the command is split at commas: {start.value} gets "
            f"{command.value.partition(',')[0]!r} alone",
            "write the command without commas, or put it into a script",
        )


def totalmap_folders(_: Workflow, task: Task) -> Iterator[Finding]:
    """TotalMAP reads HOLOSCAN_*; the older MONAI_* of published samples mean nothing to it."""
    if not task.is_totalmap:
        return
    for name, value in task.args.items():
        if name.startswith(f"{ENV}MONAI_"):
            yield Finding(
                value.place,
                "holoscan",
                f"TotalMAP does not read {name.removeprefix(ENV)}",
                f"write {INPUT_KEY}, {OUTPUT_KEY}, {ENV}HOLOSCAN_MODEL_PATH and so on",
            )
    for key, artifacts, what in (
        (INPUT_KEY, task.inputs, "input"),
        (OUTPUT_KEY, task.outputs, "output"),
    ):
        names = [one.name for one in artifacts]
        if key not in [name.value for name in names]:
            yield Finding(
                names[0].place if names else task.place,
                "holoscan",
                f"no {what} artifact is called {key}, so TotalMAP's {what} folder is not mounted",
                f"name the {what} {key} and give args the path /var/holoscan/{what}/",
            )


def totalmap_weights(_: Workflow, task: Task) -> Iterator[Finding]:
    """The plug-in mounts artifacts and nothing else: the weights are in the image."""
    path = task.args.get(f"{ENV}HOLOSCAN_MODEL_PATH")
    if task.is_totalmap and path and path.value.rstrip("/") != MODELS:
        yield Finding(
            path.place,
            "models",
            f"no weights are at {path.value}: those of the image are at {MODELS}, and others can't "
            "be mounted",
            f"write {MODELS}/",
        )


def totalmap_input(_: Workflow, task: Task) -> Iterator[Finding]:
    """Without a study there is nothing to do."""
    for artifact in task.inputs if task.is_totalmap else ():
        if not artifact.mandatory:
            yield Finding(
                artifact.mandatory_place,
                "mandatory",
                f"input {artifact.name.value!r} is not mandatory: the container would run without "
                "a study",
                'write "mandatory": true',
            )


def totalmap_user(_: Workflow, task: Task) -> Iterator[Finding]:
    """The folders belong to the Task Manager's user, root, unless a user is named."""
    if task.is_totalmap and not task.args.get("user"):
        yield Finding(
            task.args_place,
            "user",
            "no user is set: the output folder belongs to root and TotalMAP does not run as root",
            'add "user": "1000:1000"',
        )


def totalmap_failure(workflow: Workflow, task: Task) -> Iterator[Finding]:
    """A failed container is a success to the plug-in, so what comes next has to need `results`.

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
                yield Finding(
                    value.place,
                    "failure-is-success",
                    f"a failed container counts as a success, and {value.value!r} is there after a "
                    "failure too (status.json)",
                    f"write '{{ context.executions.{task.id.value}.output_dir }}/{OUTPUT_KEY}"
                    "/results', which exists after success only",
                )
            elif not artifact.mandatory:
                yield Finding(
                    artifact.mandatory_place,
                    "failure-is-success",
                    "a failed container counts as a success, and without a mandatory input here "
                    "nobody hears of it",
                    'write "mandatory": true',
                )


DOCKER_RULES: tuple[Callable[[Workflow, Task], Iterator[Finding]], ...] = (
    known_arguments,
    server_url,
    mounts,
    image,
    container_timeout,
    entrypoint,
    temporary_storage,
    totalmap_folders,
    totalmap_weights,
    totalmap_input,
    totalmap_user,
    totalmap_failure,
)

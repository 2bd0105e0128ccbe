"""A clinician accepts or rejects the results of TotalMAP in AIDE before they are exported."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("pika", reason="pika is not installed (requirements-dev.txt)")
pytest.importorskip("boto3", reason="boto3 is not installed (requirements-dev.txt)")
pytest.importorskip("moto", reason="moto is not installed (requirements-dev.txt)")

from deploy.site_options import ClinicalReview, ReviewMode, Site
from tests.acceptance.clinical_workflow.aide_backend import APPLICATION, Answer
from tests.acceptance.clinical_workflow.conditions import is_true
from tests.acceptance.clinical_workflow.deployment import Deployment
from tests.acceptance.clinical_workflow.events import (
    ClinicalReviewRequestEvent,
    TaskStatus,
    TaskUpdateEvent,
)
from tests.acceptance.clinical_workflow.workflow_instance import (
    InstanceStatus,
    TaskExecution,
    TaskTemplate,
    WorkflowInstance,
    WorkflowTemplate,
)
from tests.acceptance.task_manager.checks import objects
from tests.acceptance.task_manager.container_runner import ProcessRunner
from tests.acceptance.task_manager.events import TaskCallbackEvent
from tests.acceptance.task_manager.messages import Topic, declare, open_channel
from tests.acceptance.task_manager.object_store import ObjectStore
from tests.acceptance.task_manager.rabbitmq_broker import Broker
from tests.acceptance.task_manager.workflow_manager import BUCKET, depth
from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.phantom.study import WrittenStudy, write_study

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

REVIEW = "clinical-review"
ROLE = "radiologist"
SITE = Site(pacs="PACS1", review=ClinicalReview(ReviewMode.CLINICAL, roles=(ROLE, "physicist")))
ACCEPTED = Answer(acceptance=True, user_id="reviewer-1", roles=(ROLE,))
REJECTED = Answer(
    acceptance=False,
    reason="not correct",
    message="The spleen is part of the liver.",
    user_id="reviewer-1",
    roles=(ROLE,),
)
# The quality rules may reject what the demo model finds in a phantom.
MAP = ("env", "TOTALMAP_QUALITY__REJECTED=deliver", sys.executable, "-m", "app")


@pytest.fixture(scope="module")
def channel(broker: Broker) -> "Iterator[BlockingChannel]":
    with open_channel(broker.port) as opened:
        declare(opened)
        yield opened


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"), 5, size=64, n_slices=30)


@pytest.fixture(scope="module")
def files(study: WrittenStudy) -> list[Path]:
    """The series that the MAP segments."""
    return sorted(study.thin_soft.folder.rglob("*.dcm"))


@pytest.fixture(scope="module")
def segmented(
    channel: "BlockingChannel", store: ObjectStore, files: list[Path]
) -> tuple[Deployment, WorkflowInstance]:
    """A study whose results, made by the MAP itself, wait for their review."""
    runner = ProcessRunner(
        command=MAP, folders={"/opt/holoscan/models": DEMO_MODELS}, cwd=REPOSITORY
    )
    deployment = Deployment(channel, store, SITE, runner)
    return deployment, deployment.receive(files)


@pytest.fixture(scope="module")
def same_output(
    segmented: tuple[Deployment, WorkflowInstance],
    store: ObjectStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> ProcessRunner:
    """Gives other studies the output that the MAP has made."""
    folder = tmp_path_factory.mktemp("output")
    store.download(BUCKET, task_of(segmented[1], "totalmap").outputs["output"], folder)
    command = ("sh", "-c", 'cp -r "$0"/. "$HOLOSCAN_OUTPUT_PATH"', str(folder))
    return ProcessRunner(command=command)


@pytest.fixture
def deployment(
    channel: "BlockingChannel", store: ObjectStore, same_output: ProcessRunner
) -> Deployment:
    return Deployment(channel, store, SITE, same_output)


def task_of(instance: WorkflowInstance, task_id: str) -> TaskExecution:
    task = instance.task(task_id)
    assert task is not None, instance.statuses()
    return task


def topics(deployment: Deployment) -> list[Topic]:
    return [topic for topic, _ in deployment.bus.sent]


def test_results_are_exported_after_a_clinician_has_accepted_them(
    segmented: tuple[Deployment, WorkflowInstance], store: ObjectStore
) -> None:
    deployment, instance = segmented
    assert instance.statuses() == {
        "router": TaskStatus.SUCCEEDED,
        "totalmap": TaskStatus.SUCCEEDED,
        REVIEW: TaskStatus.ACCEPTED,
    }
    status_before = instance.status
    assert status_before is InstanceStatus.CREATED
    assert deployment.exports.sent == {}
    assert deployment.decide(ACCEPTED) == 204
    assert set(instance.statuses().values()) == {TaskStatus.SUCCEEDED}
    assert instance.status is InstanceStatus.SUCCEEDED
    root = task_of(instance, "totalmap").outputs["output"]
    results = {
        ("PACS1", f"{root}/{name}"): content
        for name, content in objects(store, root).items()
        if content[128:132] == b"DICM"
    }
    assert len(results) >= 3
    assert deployment.exports.sent == results


def test_a_reviewer_sees_the_study_and_its_results(
    segmented: tuple[Deployment, WorkflowInstance], study: WrittenStudy
) -> None:
    deployment, instance = segmented
    (request,) = [
        event for _, event in deployment.bus.sent if isinstance(event, ClinicalReviewRequestEvent)
    ]
    segmentation = task_of(instance, "totalmap")
    assert request.reviewed_task_id == "totalmap"
    assert request.reviewed_execution_id == segmentation.execution_id
    assert request.workflow_name == "totalmap"
    assert request.reviewer_roles == (ROLE, "physicist")
    assert request.application_metadata["application_name"] == "TotalMAP"
    assert request.application_metadata["mode"] == "Clinical"
    assert [place.relative_root_path for place in request.files] == [
        f"{instance.payload_id}/dcm",
        segmentation.outputs["output"],
    ]
    series = deployment.aide.review(request.execution_id).series
    assert len(series[study.thin_soft.series_uid]) == 30
    root = f"{segmentation.outputs['output']}/"
    shown = {key.removeprefix(root) for keys in series.values() for key in keys}
    assert {"results/seg.dcm", "results/sr.dcm", "results/rtstruct.dcm"} <= shown


def test_results_are_exported_at_once_without_a_review(
    channel: "BlockingChannel", store: ObjectStore, same_output: ProcessRunner, files: list[Path]
) -> None:
    """The export would wait for ever if its input had the name of an output of the MAP."""
    deployment = Deployment(channel, store, Site(pacs="PACS1"), same_output)
    instance = deployment.receive(files)
    assert list(instance.statuses()) == ["router", "totalmap", "export-results"]
    assert instance.status is InstanceStatus.SUCCEEDED
    assert len(deployment.exports.sent) >= 3


def test_nothing_is_exported_after_a_clinician_has_rejected_the_results(
    deployment: Deployment, files: list[Path]
) -> None:
    instance = deployment.receive(files)
    assert deployment.decide(REJECTED) == 204
    assert instance.statuses() == {
        "router": TaskStatus.SUCCEEDED,
        "totalmap": TaskStatus.SUCCEEDED,
        REVIEW: TaskStatus.PARTIAL_FAIL,
    }
    # The Workflow Manager counts a rejected review as an end, and no task follows it.
    assert instance.status is InstanceStatus.SUCCEEDED
    assert deployment.exports.sent == {}
    assert Topic.EXPORT_REQUEST not in topics(deployment)
    result = task_of(instance, REVIEW).result
    assert (result["acceptance"], result["reason"]) == (False, "not correct")
    assert (result["message"], result["user_id"]) == (REJECTED.message, "reviewer-1")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (REJECTED.model_copy(update={"reason": " "}), 400),
        (ACCEPTED.model_copy(update={"user_id": ""}), 400),
        (ACCEPTED.model_copy(update={"roles": ()}), 400),
        (ACCEPTED.model_copy(update={"roles": ("clinician",)}), 403),
    ],
    ids=["no-reason", "no-user", "no-role", "other-role"],
)
def test_an_answer_that_the_backend_of_aide_refuses_changes_nothing(
    deployment: Deployment, files: list[Path], answer: Answer, status: int
) -> None:
    instance = deployment.receive(files)
    (review,) = deployment.aide.waiting(ROLE)
    assert deployment.aide.decide(review.request.execution_id, answer) == status
    deployment.deliver()
    assert task_of(instance, REVIEW).status is TaskStatus.ACCEPTED
    assert deployment.aide.waiting(ROLE) == [review]


def test_a_review_is_answered_only_once(deployment: Deployment, files: list[Path]) -> None:
    instance = deployment.receive(files)
    (review,) = deployment.aide.waiting(ROLE)
    assert deployment.decide(REJECTED) == 204
    assert deployment.aide.decide(review.request.execution_id, ACCEPTED) == 400
    assert deployment.aide.decide(instance.id, ACCEPTED) == 404
    deployment.deliver()
    assert task_of(instance, REVIEW).status is TaskStatus.PARTIAL_FAIL
    assert deployment.exports.sent == {}


def test_an_answer_without_acceptance_exports_nothing(
    deployment: Deployment, files: list[Path]
) -> None:
    """The plug-in counts it as a success; the condition of the workflow does not."""
    instance = deployment.receive(files)
    (review,) = deployment.aide.waiting(ROLE)
    request = review.request
    callback = TaskCallbackEvent(
        workflow_instance_id=request.workflow_instance_id,
        task_id=request.task_id,
        execution_id=request.execution_id,
        correlation_id=request.correlation_id,
        identity=request.execution_id,
        metadata={"message": "looked at"},
    )
    deployment.bus.send(Topic.CALLBACK, callback, callback.correlation_id, APPLICATION)
    deployment.deliver()
    assert task_of(instance, REVIEW).status is TaskStatus.SUCCEEDED
    assert instance.task("export-results") is None
    assert instance.status is InstanceStatus.SUCCEEDED
    assert deployment.exports.sent == {}


def test_a_study_that_can_not_be_segmented_is_not_reviewed(
    channel: "BlockingChannel", store: ObjectStore, files: list[Path]
) -> None:
    deployment = Deployment(channel, store, SITE, ProcessRunner(command=("sh", "-c", "exit 65")))
    instance = deployment.receive(files)
    assert instance.statuses() == {
        "router": TaskStatus.SUCCEEDED,
        "totalmap": TaskStatus.FAILED,
    }
    assert instance.status is InstanceStatus.FAILED
    assert Topic.REVIEW_REQUEST not in topics(deployment)


def test_an_answer_after_the_time_for_the_review_exports_nothing(
    deployment: Deployment, files: list[Path]
) -> None:
    instance = deployment.receive(files)
    review = task_of(instance, REVIEW)
    timed_out = TaskUpdateEvent(
        workflow_instance_id=instance.id,
        task_id=REVIEW,
        execution_id=review.execution_id,
        correlation_id=instance.correlation_id,
        status=TaskStatus.FAILED,
        reason="TimedOut",
    )
    deployment.bus.send(Topic.UPDATE, timed_out, instance.correlation_id, "workflow-manager")
    deployment.deliver()
    assert deployment.decide(ACCEPTED) == 204
    assert review.status is TaskStatus.FAILED
    assert instance.status is InstanceStatus.FAILED
    assert deployment.exports.sent == {}


def test_held_results_can_not_be_accepted(
    channel: "BlockingChannel", store: ObjectStore, same_output: ProcessRunner, files: list[Path]
) -> None:
    """Quality control renames them, so that no file of them is shown or exported."""
    _, _, copy, output = same_output.command
    held = 'find "$HOLOSCAN_OUTPUT_PATH" -name "*.dcm" -exec mv {} {}.held ";"'
    runner = ProcessRunner(command=("sh", "-c", f"{copy} && {held}", output))
    deployment = Deployment(channel, store, SITE, runner)
    instance = deployment.receive(files)
    (review,) = deployment.aide.waiting(ROLE)
    assert {len(keys) for keys in review.series.values()} == {30}, "the study only"
    assert deployment.decide(ACCEPTED) == 204
    assert task_of(instance, "export-results").status is TaskStatus.FAILED
    assert instance.status is InstanceStatus.FAILED
    assert deployment.exports.sent == {}


def test_aide_shows_no_images_of_a_series_with_two_instances_of_one_number(
    deployment: Deployment, files: list[Path], broker: Broker
) -> None:
    before = depth(broker.port, Topic.REVIEW_REQUEST.dead_letters)
    copy = files[0].with_name("copy.dcm")
    write_copy_with_another_uid(files[0], copy)
    try:
        instance = deployment.receive([*files, copy])
    finally:
        copy.unlink()
    (review,) = deployment.aide.waiting(ROLE)
    assert review.series == {}
    assert depth(broker.port, Topic.REVIEW_REQUEST.dead_letters) == before + 1
    assert task_of(instance, REVIEW).status is TaskStatus.ACCEPTED
    assert deployment.decide(REJECTED) == 204


def write_copy_with_another_uid(source: Path, target: Path) -> None:
    import pydicom

    header = pydicom.dcmread(source)
    header.SOPInstanceUID = f"{header.SOPInstanceUID}.1"
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.save_as(target)


@pytest.fixture
def answered() -> WorkflowInstance:
    """An instance whose review has an answer."""
    template = TaskTemplate(id=REVIEW, type="aide_clinical_review")
    task = TaskExecution(
        template=template,
        execution_id="execution",
        status=TaskStatus.SUCCEEDED,
        output_directory="folder",
        arguments={},
        previous_task_id="totalmap",
        inputs={},
        result={"acceptance": True, "reason": "it's wrong", "count": 7},
    )
    workflow = WorkflowTemplate(name="totalmap", tasks=(template,))
    return WorkflowInstance(
        id="instance", payload_id="payload", correlation_id="1", template=workflow, tasks=[task]
    )


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("{{ context.executions.clinical-review.result.acceptance }} == 'true'", True),
        ("{{ context.executions.clinical-review.result.acceptance }} == 'false'", False),
        ("{{ context.executions.clinical-review.result.message }} == NULL", True),
        ("{{ context.executions.clinical-review.status }} != 'succeeded'", False),
        ("{{ context.executions.other.result.acceptance }} == 'true'", False),
        ("{{ context.executions.clinical-review.result.count }} >= '7'", True),
        # A number without quotes counts as an empty text.
        ("{{ context.executions.clinical-review.result.count }} >= 7", False),
        ("{{ context.executions.clinical-review.result.count }} == 7", False),
        ("{{ context.executions.clinical-review.result.count }} != 7", True),
        # A text with an apostrophe can't be read.
        ("{{ context.executions.clinical-review.result.reason }} != 'x'", False),
        ("{{ context.workflow.name }} CONTAINS ['totalmap', 'other']", True),
        # AND and OR have the same rank and group to the right.
        ("'a' == 'b' AND 'a' == 'b' OR 'a' == 'a'", False),
        ("'a' == 'a' OR 'a' == 'b' AND 'a' == 'b'", True),
        ("acceptance", False),
    ],
)
def test_conditions_are_evaluated_as_by_the_workflow_manager(
    answered: WorkflowInstance, condition: str, holds: bool
) -> None:
    assert is_true([condition], answered) is holds


@pytest.mark.parametrize("acceptance", ["true", "false"])
def test_all_conditions_of_a_destination_have_to_hold(
    answered: WorkflowInstance, acceptance: str
) -> None:
    text = f"{{{{ context.executions.clinical-review.result.acceptance }}}} == '{acceptance}'"
    assert is_true([text, "'a' == 'a'"], answered) is (acceptance == "true")
    assert not is_true([text, "'a' == 'b'"], answered)

"""Refuses weights whose licence the site has not accepted, or for which it has no number."""

from collections.abc import Collection
from pathlib import Path

from pydantic import SecretStr

from totalmap.engine.tasks import Task
from totalmap.engine.weight_licences import BY_NUMBER, FREE, NOT_STATED, Use, licence_of
from totalmap.engine.weights import find_record
from totalmap.engine.weights_manifest import published_licence
from totalmap.errors import ModelError
from totalmap.settings import SegmentationSection

# totalsegmentator.config.has_valid_license_offline checks the length only.
NUMBER_LENGTH = 18
WHERE_TO_GET_ONE = (
    "https://backend.totalsegmentator.com/license-academic/ gives one for non-commercial use, "
    "jakob.wasserthal@usb.ch for commercial use"
)


def require_licences(task: Task, settings: SegmentationSection, models_folder: Path) -> None:
    """Makes sure that the site may use the weights of all networks of a task.

    A licence that allows any use needs nothing. TotalSegmentator's own licence needs a number. Any
    other licence has to be accepted by name in the settings.

    Args:
        task: The task, with the rough tasks that it needs.
        settings: Hold the licence number and the accepted licences.
        models_folder: Its manifest names the licence of the weights.

    Raises:
        ModelError: A licence is missing or not accepted, or weights are missing or not on record.
    """
    require_number(task, settings.licence_number)
    for needed in task.chain:
        for model in needed.models:
            record = find_record(models_folder, needed, model)
            if record is not None and not _may_be_used(record.licence, settings):
                raise ModelError(
                    f"{_refusal(task, model.dataset, record.licence)}. If that covers your use, "
                    f"write segmentation.accepted_licences: [{record.licence}]. If the weights are "
                    "your own, record their licence with `totalmap models adopt FOLDER --dataset "
                    f"{model.dataset} --licence LICENCE`"
                )


def require_accepted(task: Task, accepted: Collection[str]) -> None:
    """Makes sure that the weights of a task, as TotalSegmentator publishes them, may be installed.

    Raises:
        ModelError: A licence does not allow any use and is not accepted.
    """
    for needed in task.chain:
        for model in needed.models:
            licence = published_licence(model.dataset)
            if licence not in (*FREE, BY_NUMBER, *accepted):
                raise ModelError(
                    f"{_refusal(task, model.dataset, licence)}. If that covers your use, install "
                    f"them with --accept-licence {licence}, and write "
                    f"segmentation.accepted_licences: [{licence}]"
                )


def require_number(task: Task, number: SecretStr | None) -> None:
    """Makes sure that a licence number is configured if the task needs one.

    Raises:
        ModelError: The number is missing or malformed. The message never holds the number.
    """
    if not task.needs_licence:
        return
    if number is None:
        raise ModelError(
            f"task {task.name} needs a licence of TotalSegmentator, and "
            f"segmentation.licence_number is not set: {WHERE_TO_GET_ONE}"
        )
    length = len(number.get_secret_value())
    if length != NUMBER_LENGTH:
        raise ModelError(
            f"task {task.name} needs a licence of TotalSegmentator, whose number has "
            f"{NUMBER_LENGTH} characters; segmentation.licence_number has {length}: "
            f"{WHERE_TO_GET_ONE}"
        )


def _may_be_used(licence: str, settings: SegmentationSection) -> bool:
    if licence == BY_NUMBER and settings.licence_number is not None:
        return True
    return licence in FREE or licence in settings.accepted_licences


def _refusal(task: Task, dataset: str, licence: str) -> str:
    """Returns why weights are refused."""
    known = licence_of(dataset)
    if licence == NOT_STATED:
        said = f"have no stated licence ({NOT_STATED})"
    elif known and known.licence == licence and known.use is Use.NON_COMMERCIAL:
        said = f"are under {licence}, which allows non-commercial use only"
    else:
        said = f"are under {licence}, which is not known to allow any use"
    source = known.source if known and known.licence == licence else "the models folder's manifest"
    return f"task {task.name}: the weights {dataset} {said} ({source})"

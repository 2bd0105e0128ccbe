"""Refuses the tasks that TotalSegmentator licenses where no licence is configured."""

from pydantic import SecretStr

from totalmap.engine.tasks import Task
from totalmap.errors import ModelError

# totalsegmentator.config.has_valid_license_offline knows a licence by this alone.
NUMBER_LENGTH = 18
WHERE_TO_GET_ONE = (
    "https://backend.totalsegmentator.com/license-academic/ gives one for non-commercial use, "
    "jakob.wasserthal@usb.ch for commercial use"
)


def require_licence(task: Task, number: SecretStr | None) -> None:
    """Lets a task pass that needs no licence, or for which one is configured.

    Raises:
        ModelError: There is none, or it can't be one. The message never holds the number.
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

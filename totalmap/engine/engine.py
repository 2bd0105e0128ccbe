"""The one warm object: the networks of a task, loaded once, for any number of volumes."""

from collections.abc import Callable
from pathlib import Path

from totalmap.dicom.volume import Volume
from totalmap.engine.api import ApiSegmenter
from totalmap.engine.coverage import why_not_covered
from totalmap.engine.licence import require_licence
from totalmap.engine.segment import Progress, segment
from totalmap.engine.tasks import Task, load_task
from totalmap.errors import InputError
from totalmap.log import get_logger
from totalmap.segmentation import Segmentation
from totalmap.settings import SegmentationSection

Segment = Callable[[Volume, Progress], Segmentation]

log = get_logger()


class Engine:
    """Segments volumes as the settings say, by our own engine where it covers the task."""

    def __init__(self, settings: SegmentationSection, models_folder: Path) -> None:
        """Verifies and loads the networks of the task and of the rougher tasks that it needs.

        Raises:
            ConfigError: There is no such task, variant or structure.
            ModelError: Weights are missing, not on record or changed, or a licence is missing.
        """
        self.task = load_task(settings.task, settings.variant, settings.structures)
        require_licence(self.task, settings.licence_number)
        reason = why_not_covered(self.task, models_folder)
        if reason:
            log.info("totalsegmentator_api_used", task=self.task.name, reason=reason)
            self._segment: Segment = ApiSegmenter(
                self.task, models_folder, settings.licence_number
            ).segment
        else:
            self._segment = _own_engine(self.task, settings, models_folder)

    def segment(self, volume: Volume, progress: Progress) -> Segmentation:
        """Returns the labels of the task on the slices of the volume.

        Raises:
            InputError: The task is made for another modality.
            ModelError, ResourceError: TotalSegmentator failed.
        """
        if volume.modality != self.task.modality:
            raise InputError(
                f"task {self.task.name} is made for {self.task.modality}, and the series is "
                f"{volume.modality or 'of no modality'}: choose another segmentation.task, or "
                f"take {volume.modality} out of the modalities of selection.rules"
            )
        return self._segment(volume, progress)


def _own_engine(task: Task, settings: SegmentationSection, models_folder: Path) -> Segment:
    from totalmap.engine.predict import Networks  # here and not above: torch takes seconds

    networks = tuple(
        Networks(
            one,
            models_folder,
            arithmetic=settings.arithmetic,
            device=settings.device,
            memory_short=settings.memory_short,
        )
        for one in task.chain
    )
    return lambda volume, progress: segment(volume, networks, progress)

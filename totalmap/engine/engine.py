"""Loads the networks of a task once, and segments any number of volumes with them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from totalmap.dicom.volume import Volume
from totalmap.engine.confidence import second_opinion_task, segment_with_confidence
from totalmap.engine.licence_rules import require_licences
from totalmap.engine.segment import Progress
from totalmap.engine.supported_tasks import why_unsupported
from totalmap.engine.tasks import Task, load_task
from totalmap.engine.totalsegmentator_api import ApiSegmenter
from totalmap.engine.weights import require_good_boxes
from totalmap.errors import ConfigError, InputError
from totalmap.import_without_garbage_collection import no_collection_during_imports
from totalmap.log import get_logger
from totalmap.private_cache import PrivateCache, cache_home
from totalmap.segmentation import Segmentation
from totalmap.settings import QualitySection, SegmentationSection

Segment = Callable[[Volume, Progress], Segmentation]

log = get_logger()


class Engine:
    """Segments volumes with our own engine if it supports the task, else with TotalSegmentator."""

    def __init__(
        self,
        settings: SegmentationSection,
        models_folder: Path,
        quality: QualitySection = QualitySection(),  # noqa: B008  it is frozen
    ) -> None:
        """Verifies and loads the networks of the task and of the rough tasks that it needs.

        Raises:
            ConfigError: The task, variant or structure does not exist, or the task has no second
                opinion or no boxes.
            ModelError: Weights are missing, not on record, changed or not measured with boxes, or a
                licence is missing or not accepted.
        """
        self.task = load_task(settings.task, settings.variant, settings.structures, settings.search)
        other = second_opinion_task(self.task) if quality.second_opinion else None
        for task in (self.task, other) if other else (self.task,):
            require_licences(task, settings, models_folder)
        reason = why_unsupported(self.task, models_folder)
        if other:
            reason_of_either = reason or why_unsupported(other, models_folder)
            _require_supported("quality.second_opinion", reason_of_either, "set it to false")
        if self.task.boxes:
            _require_supported("segmentation.search boxes", reason, "choose whole")
            require_good_boxes(models_folder, self.task)
        if reason:
            log.info("totalsegmentator_api_used", task=self.task.name, reason=reason)
            self._segment: Segment = ApiSegmenter(
                self.task, models_folder, settings.licence_number
            ).segment
        else:
            self._segment = _own_engine(self.task, other, settings, models_folder)

    def segment(self, volume: Volume, progress: Progress) -> Segmentation:
        """Returns the labels of the task on the slices of the volume.

        Raises:
            InputError: The volume has another modality than the task.
            ModelError, ResourceError: TotalSegmentator failed.
        """
        if volume.modality != self.task.modality:
            raise InputError(
                f"task {self.task.name} is made for {self.task.modality}, and the series is "
                f"{volume.modality or 'of no modality'}: choose another segmentation.task, or "
                f"take {volume.modality} out of the modalities of selection.rules"
            )
        return self._segment(volume, progress)


def _require_supported(setting: str, reason: str, remedy: str) -> None:
    if reason:
        raise ConfigError(
            f"{setting} is for networks that our own engine runs, but {reason}: {remedy}"
        )


def _own_engine(
    task: Task, other: Task | None, settings: SegmentationSection, models_folder: Path
) -> Segment:
    # Imported here: torch takes seconds.
    with no_collection_during_imports():
        from totalmap.engine.arithmetic.openvino_network_cache import keep_in
        from totalmap.engine.arithmetic.proven_shortcuts import remember_in
        from totalmap.engine.predict import Networks

    private_cache = PrivateCache(cache_home(settings.cache_folder))
    remember_in(private_cache)
    keep_in(private_cache)

    @cache  # both opinions may use the same rough networks
    def load(part: Task) -> Networks:
        return Networks(
            part,
            models_folder,
            arithmetic=settings.arithmetic,
            device=settings.device,
            memory_short=settings.memory_short,
        )

    networks = tuple(load(part) for part in task.chain)
    others = tuple(load(part) for part in other.chain) if other else ()
    parts = networks[-1].parts
    return lambda volume, progress: segment_with_confidence(
        volume, networks, others, progress, parts
    )

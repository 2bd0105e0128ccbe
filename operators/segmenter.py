"""Runs the networks: operator from volumes to segmentations."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from operators.base_operator import ChainOperator
from totalmap.dicom.volume import Volume
from totalmap.engine.engine import Engine
from totalmap.segmentation import Segmentation
from totalmap.settings import QualitySection, SegmentationSection

EngineLoader = Callable[[SegmentationSection, Path, QualitySection], Engine]


class SegmenterOperator(ChainOperator):
    """Runs TotalSegmentator's networks over the volumes."""

    receives = "volumes"
    emits = "segmentations"

    def __init__(
        self,
        *args: Any,
        settings: SegmentationSection,
        quality: QualitySection,
        models_folder: Path,
        load_engine: EngineLoader,
        **kwargs: Any,
    ) -> None:
        self._settings = settings
        self._quality = quality
        self._models_folder = models_folder
        self._load_engine = load_engine
        super().__init__(*args, **kwargs)

    def process(self, volumes: tuple[Volume, ...]) -> tuple[Segmentation, ...]:
        """Loads the networks once, segments the volumes and measures the structures."""
        with self.run_log.stage("load_models"):
            engine = self._load_engine(self._settings, self._models_folder, self._quality)
        with self.run_log.stage("segment"):
            progress = self.run_log.observer.progress
            segmentations = tuple(engine.segment(volume, progress) for volume in volumes)
        with self.run_log.stage("measure"):
            for segmentation in segmentations:
                self.run_log.segmented(segmentation)
        return segmentations

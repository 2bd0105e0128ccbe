"""Operator: volume -> segmentation."""

from pathlib import Path
from typing import Any

from operators.chain_operator import ChainOperator
from totalmap.dicom.volume import Volume
from totalmap.engine.tasks import load_task
from totalmap.segmentation import Segmentation
from totalmap.settings import SegmentationSection


class SegmenterOperator(ChainOperator):
    """Runs TotalSegmentator's networks over the volume."""

    receives = "volume"
    emits = "segmentation"

    def __init__(
        self, *args: Any, settings: SegmentationSection, models_folder: Path, **kwargs: Any
    ) -> None:
        self._settings = settings
        self._models_folder = models_folder
        super().__init__(*args, **kwargs)

    def process(self, volume: Volume) -> Segmentation:
        """Loads the networks and segments the volume."""
        with self.journal.stage("load_models"):
            # Here and not above: torch takes seconds to import.
            from totalmap.engine.predict import Engine

            task = load_task(self._settings.task, self._settings.variant)
            engine = Engine(task, self._models_folder)
        with self.journal.stage("segment"):
            segmentation = engine.segment(volume, self.journal.observer.progress)
            self.journal.segmented(segmentation)
            return segmentation

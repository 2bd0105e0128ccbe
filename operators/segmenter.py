"""Operator: volume -> segmentation."""

from pathlib import Path
from typing import Any

from holoscan.core import (
    ExecutionContext,
    Fragment,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
)

from totalmap.engine.tasks import load_task
from totalmap.journal import Journal
from totalmap.settings import SegmentationSection


class SegmenterOperator(Operator):
    """Runs TotalSegmentator's networks over the volume."""

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        settings: SegmentationSection,
        models_folder: Path,
        journal: Journal,
        **kwargs: Any,
    ) -> None:
        self._settings = settings
        self._models_folder = models_folder
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Receives a `Volume`, emits a `Segmentation`."""
        spec.input("volume")
        spec.output("segmentation")

    def compute(
        self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext
    ) -> None:
        """Loads the networks and segments the volume."""
        volume = op_input.receive("volume")
        with self._journal.stage("load_models"):
            # Here and not above: torch takes seconds to import.
            from totalmap.engine.predict import Engine

            task = load_task(self._settings.task, self._settings.variant)
            engine = Engine(task, self._models_folder)
        with self._journal.stage("segment"):
            segmentation = engine.segment(volume, self._journal.observer.progress)
            self._journal.segmented(segmentation)
            op_output.emit(segmentation, "segmentation")

"""Runs many studies in one process; the networks stay loaded between studies."""

from collections.abc import Callable
from pathlib import Path

from app.run_study import RunOutcome, RunRequest, run_application
from totalmap.engine.engine import Engine
from totalmap.engine.memory_reservation import wait_for_others
from totalmap.errors import TotalMapError
from totalmap.keep_freed_memory import give_back_freed_memory
from totalmap.open_input import OpenedInput
from totalmap.run_log import Observer
from totalmap.settings import QualitySection, SegmentationSection, load_settings


class WarmApplication:
    """Runs studies one after the other and keeps the networks of the last run."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._loaded: tuple[SegmentationSection, Path, QualitySection] | None = None

    def warm_up(self, settings_file: Path, models_folder: Path) -> None:
        """Loads the networks before the first study.

        Raises:
            ConfigError: The settings are wrong.
            ModelError: Weights are missing, not on record or changed, or a licence is missing.
        """
        settings = load_settings(settings_file)
        self._load(settings.segmentation, models_folder, settings.quality)

    def run(
        self,
        request: RunRequest,
        observer: Observer | None = None,
        source: OpenedInput | None = None,
        stopped: Callable[[TotalMapError], None] | None = None,
    ) -> RunOutcome:
        """Segments a study, as `run_application` does.

        Freed memory returns to the system afterwards; otherwise fragments accumulate.
        """
        try:
            return run_application(request, observer, self._load, source, stopped)
        finally:
            give_back_freed_memory()

    def wait_for_memory(self) -> None:
        """Waits until all runs on this machine that hold memory now are done."""
        wait_for_others()

    def _load(
        self, settings: SegmentationSection, models_folder: Path, quality: QualitySection
    ) -> Engine:
        wanted = (settings, models_folder, quality)
        if self._engine is None or self._loaded != wanted:
            self._engine = None  # two engines at once may need too much memory
            self._engine, self._loaded = Engine(*wanted), wanted
        return self._engine

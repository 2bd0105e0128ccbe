"""Checks settings, weights and licences before the first study arrives."""

from pathlib import Path

from totalmap.engine.licence_rules import require_licences
from totalmap.engine.tasks import load_task
from totalmap.engine.weights import require_good_boxes, verify_chain
from totalmap.settings import load_settings


def require_ready(settings_file: Path, models_folder: Path) -> str:
    """Returns the name and variant of the task that a run would segment, for people.

    Raises:
        ConfigError: The settings are wrong, or there is no such task, variant or structure.
        ModelError: Weights are missing, not on record, changed or not measured with boxes, or a
            licence is missing or not accepted.
    """
    settings = load_settings(settings_file).segmentation
    task = load_task(settings.task, settings.variant, settings.structures, settings.search)
    require_licences(task, settings, models_folder)
    verify_chain(models_folder, task)
    require_good_boxes(models_folder, task)
    return f"task {task.name}, {task.variant}"

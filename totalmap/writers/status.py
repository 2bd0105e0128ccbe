"""status.json: what a run chose, found, wrote and used, on success and on failure."""

import platform
from importlib.metadata import PackageNotFoundError, version

from totalmap import __version__
from totalmap.dicom.identity import text
from totalmap.dicom.select import Verdict
from totalmap.errors import TotalMapError
from totalmap.journal import Journal
from totalmap.settings import Settings

SCHEMA_VERSION = 1
SUCCEEDED = "succeeded"
FAILED = "failed"

# What decides a result, besides the weights.
_PACKAGES = (
    "TotalSegmentator",
    "nnunetv2",
    "torch",
    "holoscan-cu13",
    "monai-deploy-app-sdk",
    "pydicom",
    "highdicom",
    "nibabel",
    "numpy",
    "scipy",
)

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


def describe_run(
    journal: Journal, settings: Settings | None, error: TotalMapError | None
) -> dict[str, JsonValue]:
    """Returns the content of status.json.

    Args:
        settings: None where the settings could not be read.
        error: What ended the run, None for a success.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "outcome": SUCCEEDED if error is None else FAILED,
        "error": None if error is None else _error(error),
        "series": [_series(verdict) for verdict in journal.verdicts],
        "structures": [
            {
                "label": found.structure.label,
                "name": found.structure.name,
                "voxels": found.voxels,
                "volume_ml": round(found.volume_ml, 3),
            }
            for found in journal.structures
        ],
        "results": []
        if error is not None
        else [
            {"kind": one.kind, "path": one.path, "sop_instance_uid": one.sop_instance_uid}
            for one in journal.results
        ],
        "timings_seconds": dict(journal.timings_seconds),
        "model": _model(journal, settings),
        "versions": _versions(),
        "warnings": list(journal.warnings),
    }


def _error(error: TotalMapError) -> JsonValue:
    return {
        "kind": type(error).__name__,
        "message": str(error),
        "exit_status": error.exit_status,
    }


def _series(verdict: Verdict) -> JsonValue:
    header = verdict.series.header
    return {
        "series_instance_uid": verdict.series.uid,
        "number": verdict.series.number,
        "modality": verdict.series.modality,
        "description": text(header, "SeriesDescription"),
        "instances": len(verdict.series.instances),
        "chosen": verdict.chosen,
        "reason": verdict.reason,
    }


def _model(journal: Journal, settings: Settings | None) -> JsonValue:
    if settings is None:
        return None
    return {
        "task": settings.segmentation.task,
        "variant": settings.segmentation.variant.value,
        "checkpoints": [
            {
                "dataset": model.dataset,
                "sha256": model.sha256,
                "source": model.source,
                "licence": model.licence,
            }
            for model in journal.models
        ],
    }


def _versions() -> dict[str, JsonValue]:
    versions: dict[str, JsonValue] = {"totalmap": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions

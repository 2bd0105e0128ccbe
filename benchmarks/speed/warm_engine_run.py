"""Segments a study twice with one engine and prints the seconds of the second time.

    python -m benchmarks.speed.warm_engine_run INPUT MODELS LABELS

benchmarks.speed runs this in a process of its own to measure its memory. The settings come from
app.yaml and the environment. It writes the labels as a NumPy array in the layout of the NIfTI, and
prints a WarmRun as JSON.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from structlog.testing import capture_logs

from benchmarks.speed.parse_network_seconds import from_events
from totalmap import log
from totalmap.dicom.geometry import to_las
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import build_volume
from totalmap.engine.engine import Engine
from totalmap.errors import TotalMapError
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings, load_settings

SETTINGS = Path(__file__).parents[2] / "app.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmRun:
    """The times of the second study.

    Attributes:
        seconds: From its folder to its labels on the slices, in memory.
        segment_seconds: The part of the engine, from the volume to the labels.
        network_seconds: The part of the networks; None if the engine does not report it.
        tiles: The number of tiles, or None.
    """

    seconds: float
    segment_seconds: float
    network_seconds: float | None
    tiles: int | None


def main() -> int:
    """Runs both studies and returns the exit status, for a TotalMapError that of app."""
    log.configure("json")
    source, models, target = map(Path, sys.argv[1:])
    try:
        settings = load_settings(SETTINGS, os.environ)
        engine = Engine(settings.segmentation, models)
        _segment(source, engine, settings)
        with capture_logs() as events:
            segmentation, seconds, segment_seconds = _segment(source, engine, settings)
    except TotalMapError as error:
        log.get_logger().error("run_failed", kind=type(error).__name__, message=str(error))
        return error.exit_status
    network = from_events(events)
    run = WarmRun(
        seconds=seconds,
        segment_seconds=segment_seconds,
        network_seconds=network.seconds if network else None,
        tiles=network.tiles if network else None,
    )
    np.save(target, to_las(segmentation.labels, segmentation.volume.geometry)[0])
    print(json.dumps(asdict(run)))
    return 0


def _segment(source: Path, engine: Engine, settings: Settings) -> tuple[Segmentation, float, float]:
    """Returns the labels, the seconds for all and those of the engine."""
    start = time.perf_counter()
    (selection,) = selected(judge(read_study(source), settings.selection, settings.geometry))
    volume = build_volume(selection, settings.geometry)
    built = time.perf_counter()
    segmentation = engine.segment(volume, lambda _done, _total: None)
    end = time.perf_counter()
    return segmentation, end - start, end - built


if __name__ == "__main__":
    sys.exit(main())

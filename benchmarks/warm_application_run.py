"""Segments a study several times in one process, as a worker of the gateway does.

    python -m benchmarks.warm_application_run INPUT MODELS OUTPUT RUNS

benchmarks.outside_network runs this in a process of its own. The settings come from app.yaml and
the environment. The first run loads the networks and is not printed; each of the others is printed
as a line of JSON with the fields of `WarmRun`.
"""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from app.stack_size import restart_with_larger_stack
from benchmarks.speed.parse_network_seconds import from_events
from totalmap import log
from totalmap.default_locations import DEFAULT_SETTINGS
from totalmap.environment_variables import prepare_threads


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmRun:
    """The times of one study.

    Attributes:
        seconds: From the call of the application to its return.
        network_seconds: The loop over the tiles.
        stages: Seconds of each stage, as in status.json.
        processor_stages: Processor seconds of all threads from the start of each stage to the start
            of the next.
    """

    seconds: float
    network_seconds: float
    stages: dict[str, float]
    processor_stages: dict[str, float]


class StageClock:
    """Observes a run, and measures the processor time of its stages."""

    def __init__(self) -> None:
        self._starts: list[tuple[str, float]] = []

    def stage_started(self, stage: str) -> None:
        """Notes the processor time at the start of a stage."""
        self._starts.append((stage, time.process_time()))

    def progress(self, done: int, total: int) -> None:
        """Ignores the tiles."""

    def processor_seconds(self) -> dict[str, float]:
        """Returns the processor seconds of each stage, the last one up to now."""
        ends = [start for _, start in self._starts[1:]] + [time.process_time()]
        return {stage: end - start for (stage, start), end in zip(self._starts, ends, strict=True)}


def _receive(events: list[dict[str, object]], event: Mapping[str, object]) -> None:
    events.append(dict(event))


def main() -> int:
    """Runs the study and returns the exit status of the first run that fails."""
    prepare_threads()
    restart_with_larger_stack()
    # Imported here: threads have to be prepared before PyTorch is imported.
    from app.run_study import RunRequest
    from app.warm_application import WarmApplication

    log.configure("json")
    source, models, output = map(Path, sys.argv[1:4])
    request = RunRequest(
        input_path=source,
        output_folder=output,
        models_folder=models,
        settings_file=DEFAULT_SETTINGS,
    )
    application = WarmApplication()
    for number in range(int(sys.argv[4]) + 1):
        events: list[dict[str, object]] = []
        end_receiving = log.also_send_to(partial(_receive, events))
        clock = StageClock()
        start = time.perf_counter()
        outcome = application.run(request, clock)
        seconds = time.perf_counter() - start
        end_receiving()
        if outcome.exit_status:
            return outcome.exit_status
        network = from_events(events)
        run = WarmRun(
            seconds=seconds,
            network_seconds=network.seconds if network else 0.0,
            stages=dict(outcome.status.timings_seconds),
            processor_stages=clock.processor_seconds(),
        )
        if number:
            print(json.dumps(asdict(run)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

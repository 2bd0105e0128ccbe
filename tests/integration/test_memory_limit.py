"""Runs in a control group with little memory: what does not fit is refused before it starts."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.application_runs import Finished, command
from tests.conftest import REPOSITORY
from tests.control_group import memory_limit
from tests.memory_holder import memory_held
from tests.phantom.study import SeriesSpec, write_series
from tests.waiting import WAIT_SECONDS

# One tile of a narrow network, but more than 4 GB for the sums of its planes.
WIDE = SeriesSpec(rows=512, columns=512, n_slices=12, pixel_spacing_mm=(3.0, 3.0))
GB = 10**9
JOIN = 'echo $$ > "$0" && exec "$@"'


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("wide"), 1, WIDE).folder


def run_limited(limit_bytes: int, study: Path, models: Path, folder: Path) -> Finished:
    """Runs the application in a control group; its reservations are in a folder."""
    output = folder / "output"
    environment = os.environ | {
        "TMPDIR": str(folder),
        "TOTALMAP_SEGMENTATION__VARIANT": "fast",
        "TOTALMAP_SEGMENTATION__MEMORY_SHORT": "refuse",
    }
    with memory_limit(limit_bytes) as group:
        process = subprocess.run(
            ["sh", "-c", JOIN, str(group), *command(study, output, models)],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
    return Finished(process, output)


def test_a_study_beyond_the_memory_limit_of_the_control_group_is_refused_before_its_run(
    study: Path, fast_models: Path, tmp_path: Path
) -> None:
    run_limited(3 * GB, study, fast_models, tmp_path).fails_with(
        75, "ResourceError", r"512 .* needs 4\.\d GB of memory, and [12]\.\d GB are free: give"
    )


def test_a_study_that_does_not_fit_in_memory_beside_another_run_is_refused_at_once(
    study: Path, fast_models: Path, tmp_path: Path
) -> None:
    with memory_held(3.0, tmp_path):
        finished = run_limited(6 * GB, study, fast_models, tmp_path)
    finished.fails_with(
        75,
        "MemoryInUse",
        r"needs 4\.\d GB of memory, and [12]\.\d GB are free beside other runs .* need 3\.0 GB",
    )

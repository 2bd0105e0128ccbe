"""Commands compute with the processors that a control group allows, as in a container."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.control_group import processor_limit
from tests.waiting import WAIT_SECONDS


def test_arithmetic_shortcuts_are_compared_with_the_threads_of_a_one_processor_container(
    fast_models: Path,
) -> None:
    words = [sys.executable, "-m", "cli", "models", "shortcuts", "total", "--variant", "fast"]
    words += ["--models", str(fast_models)]
    with processor_limit(1) as processes:
        done = subprocess.run(
            ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(processes), *words],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 1 threads, torch " in done.stdout

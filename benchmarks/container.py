"""Measures the seconds from `docker run` to the first operator and to the end, on one study.

    python -m benchmarks.container IMAGE STUDY [--models FOLDER] [--runs 5] [--output FILE]

The container is hardened. The image is one of `make image`; it uses its own weights unless a folder
of others is mounted. All results of app.yaml are made. The first run is not counted, so the study's
files are in the disk cache. DOCKER_HOST names the engine.
"""

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path

from benchmarks.write_report import write_report

FIRST_OPERATOR = re.compile(r"^(\S+) .*study_read", re.MULTILINE)
HARDENED = (
    "--network=none",
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("image")
    parser.add_argument("study", type=Path)
    parser.add_argument("--models", type=Path, help="a folder of weights to mount")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    volumes = [f"-v{given.study.resolve()}:/var/holoscan/input:ro"]
    if given.models:
        volumes.append(f"-v{given.models.resolve()}:/opt/holoscan/models:ro")
    _run(given.image, volumes)
    table = _table(given.image, [_run(given.image, volumes) for _ in range(given.runs)])
    print(table)
    if given.output:
        write_report(given.output, "The container", "benchmarks.container", __doc__, table)


def _table(image: str, runs: list[tuple[float, float]]) -> str:
    command = ["docker", "image", "inspect", "--format={{.Size}}", image]
    size = int(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603  docker
    lines = [f"{os.cpu_count()} cores; image of {size / 1e9:.2f} GB; median of {len(runs)} runs"]
    for name, seconds in zip(("first operator", "end"), zip(*runs, strict=True), strict=True):
        median = statistics.median(seconds)
        lines.append(f"{name:16}{median:7.2f} s   {min(seconds):.2f}-{max(seconds):.2f}")
    return "\n".join(lines)


def _run(image: str, volumes: list[str]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name:
        output = Path(name)
        output.chmod(0o777)
        volumes = [*volumes, f"-v{output}:/var/holoscan/output"]
        start = time.time()
        done = subprocess.run(  # noqa: S603  docker
            ["docker", "run", "--rm", *HARDENED, *volumes, image],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        end = time.time()
        first = FIRST_OPERATOR.search(done.stderr)
        if done.returncode or first is None:
            raise SystemExit(f"the container ended with {done.returncode}: {done.stderr}")
        return datetime.fromisoformat(first.group(1)).timestamp() - start, end - start


if __name__ == "__main__":
    main()

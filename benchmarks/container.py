"""Seconds from `docker run` to the first operator and to the end, hardened, on one study.

    python -m benchmarks.container IMAGE STUDY [--runs 5]

The image is one of `make image` with weights in it. DOCKER_HOST says which engine.
"""

import argparse
import re
import statistics
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path

FIRST_OPERATOR = re.compile(r"^(\S+) .*study_read", re.MULTILINE)
HARDENED = (
    "--network=none",
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("image")
    parser.add_argument("study", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    runs = [_run(given.image, given.study.resolve()) for _ in range(given.runs)]
    command = ["docker", "image", "inspect", "--format={{.Size}}", given.image]
    size = int(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603  docker
    print(f"{given.image}: {size / 1e9:.2f} GB; median of {given.runs} runs")
    for name, seconds in zip(("first operator", "end"), zip(*runs, strict=True), strict=True):
        median = statistics.median(seconds)
        print(f"{name:16}{median:7.2f} s   {min(seconds):.2f}-{max(seconds):.2f}")


def _run(image: str, study: Path) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name:
        output = Path(name)
        output.chmod(0o777)
        volumes = [f"-v{study}:/var/holoscan/input:ro", f"-v{output}:/var/holoscan/output"]
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

"""Writes the report of a benchmark, for benchmarks/results."""

import platform
from pathlib import Path

NO_GPU = "--device cuda: PyTorch finds no NVIDIA GPU here; choose --device cpu"


def write_report(path: Path, title: str, module: str, description: str, table: str) -> None:
    """Writes a table with the description of its benchmark.

    Args:
        path: The file; its folder is made.
        title: The heading of the report.
        module: The name of the benchmark's module.
        description: The docstring of the benchmark: a line, the command up to `FILE]`, and a
            description.
        table: The table.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    first, _, rest = description.partition("    python")
    text = f"# {title}\n\n{first}`python -m {module}`, {cpu_model()}.{rest.partition('FILE]')[2]}"
    path.write_text(f"{text}\n```\n{table}\n```\n", encoding="utf-8")


def cpu_model() -> str:
    """Returns the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

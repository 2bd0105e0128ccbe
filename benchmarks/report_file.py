"""What a benchmark leaves in benchmarks/results."""

from pathlib import Path

from benchmarks.speed.__main__ import cpu_model


def write_report(path: Path, title: str, module: str, description: str, table: str) -> None:
    """Writes a table with what the benchmark says of itself.

    Args:
        path: Its folder is made.
        title: Of the report.
        module: The benchmark's, as `python -m` takes it.
        description: The benchmark's docstring: a line, its command up to FILE], and what it does.
        table: What it printed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    first, _, rest = description.partition("    python")
    text = f"# {title}\n\n{first}`python -m {module}`, {cpu_model()}.{rest.partition('FILE]')[2]}"
    path.write_text(f"{text}\n```\n{table}\n```\n", encoding="utf-8")

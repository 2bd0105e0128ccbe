"""`make coverage` combines the data of all processes, also where tests kill some of them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from coverage import CoverageData

from tests.conftest import REPOSITORY
from tests.coverage_data import remove_damaged
from tests.waiting import WAIT_SECONDS

PAGE_BYTES = 4096
# Starts one process that ends by itself, and one that is killed, both in another folder.
STARTS_TWO = """
import subprocess, sys
ends = "import sys; sys.path.insert(0, {repository!r}); import totalmap.errors"
killed = ends + "; import totalmap.finding, os, signal; os.kill(os.getpid(), signal.SIGKILL)"
for code in (ends, killed):
    subprocess.run([sys.executable, "-c", code], cwd="/", check=False)
"""


def coverage(*arguments: str, data: Path) -> None:
    environment: Mapping[str, str] = os.environ | {"COVERAGE_FILE": str(data)}
    done = subprocess.run(
        [sys.executable, "-m", "coverage", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def written(path: Path) -> bytes:
    data = CoverageData(str(path))
    data.add_lines({f"/repository/file_{number}.py": range(1, 500) for number in range(300)})
    data.write()
    data.close(force=True)
    return path.read_bytes()


def lines_of(file: str, path: Path) -> list[int]:
    data = CoverageData(str(path), read_only=True)
    data.read()
    lines = data.lines(file) or []
    data.close(force=True)
    return lines


def cut_off(whole: bytes, pages: int) -> bytes:
    """A file whose later pages were never written: the file system reads them as zeros."""
    return whole[: pages * PAGE_BYTES].ljust(len(whole), b"\0")


def test_coverage_data_of_a_process_that_was_killed_while_it_wrote_is_removed(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    whole = written(tmp_path / "data.whole")
    n_pages = len(whole) // PAGE_BYTES
    for pages in range(n_pages):
        (tmp_path / f"data.zeros-{pages}").write_bytes(cut_off(whole, pages))
        (tmp_path / f"data.short-{pages}").write_bytes(whole[: pages * PAGE_BYTES + 1])
    assert len(remove_damaged(tmp_path)) > n_pages
    coverage("combine", "--quiet", data=data)
    assert lines_of("/repository/file_299.py", data) == list(range(1, 500))


def test_whole_coverage_data_is_kept(tmp_path: Path) -> None:
    written(tmp_path / "data.whole")
    assert remove_damaged(tmp_path) == []
    assert (tmp_path / "data.whole").exists()


def test_the_coverage_of_a_process_counts_unless_it_was_killed_and_damages_no_data(
    tmp_path: Path,
) -> None:
    script = tmp_path / "starts_two.py"
    script.write_text(STARTS_TWO.replace("{repository!r}", repr(str(REPOSITORY))))
    data = tmp_path / "data"
    coverage("run", str(script), data=data)
    assert remove_damaged(tmp_path) == []
    coverage("combine", "--quiet", data=data)
    assert len(lines_of(str(REPOSITORY / "totalmap" / "errors.py"), data)) > 20
    assert lines_of(str(REPOSITORY / "totalmap" / "finding.py"), data) == []

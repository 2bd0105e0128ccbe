"""Removes the coverage data of processes that were killed while they wrote it.

coverage writes without a journal, so that such a file may be damaged, and `coverage combine` fails
with some of them. `make coverage` calls this module before it combines the data.
"""

import sqlite3
import sys
from pathlib import Path

from coverage import CoverageData
from coverage.exceptions import CoverageException


def remove_damaged(folder: Path) -> list[Path]:
    """Removes the data files of a folder that can't be combined, and returns their paths.

    Args:
        folder: Holds a file `data.*` for each process.
    """
    damaged = [path for path in sorted(folder.glob("data.*")) if _is_damaged(path)]
    for path in damaged:
        path.unlink()
    return damaged


def _is_damaged(path: Path) -> bool:
    data = CoverageData(str(path), read_only=True)
    try:
        data.read()
        CoverageData(no_disk=True).update(data)
    except (CoverageException, sqlite3.Error):
        return True
    finally:
        data.close(force=True)
    return False


if __name__ == "__main__":
    removed = remove_damaged(Path(sys.argv[1]))
    sys.stdout.write(f"removed {len(removed)} damaged files of killed processes\n")

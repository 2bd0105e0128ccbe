"""Measures the size of the environment in which it runs, and of the downloads for it.

    python -m benchmarks.installed_size

Run it in an environment right after `make install`.
"""

import sys
from importlib import metadata
from pathlib import Path

from install.read_lock_files import lock_of

BYTES_PER_BLOCK = 512  # of st_blocks
BYTES_PER_GB = 1e9
MB_PER_GB = 1000


def main() -> None:
    """Prints one line: Python, PyTorch, GB of downloads, GB on the disk."""
    torch = metadata.version("torch")
    kind = "cpu" if torch.endswith("+cpu") else "cuda"
    locks = [lock_of(name) for name in ("build", f"torch-{kind}", "run", "gateway")]
    download_gb = sum(lock.download_mb for lock in locks) / MB_PER_GB
    disk_gb = bytes_on_disk(Path(sys.prefix)) / BYTES_PER_GB
    version = ".".join(map(str, sys.version_info[:2]))
    print(
        f"Python {version}, PyTorch {torch}: at most {download_gb:.1f} GB of downloads, "
        f"{disk_gb:.2f} GB on the disk"
    )


def bytes_on_disk(folder: Path) -> int:
    """Returns the bytes that the files below a folder take on the disk, each file once."""
    files = (path.lstat() for path in folder.rglob("*"))
    return sum({file.st_ino: file.st_blocks * BYTES_PER_BLOCK for file in files}.values())


if __name__ == "__main__":
    main()

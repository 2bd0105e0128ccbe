"""Tests the limits of processors and memory that a machine and its control groups set."""

import os
from pathlib import Path

import pytest

from totalmap.machine_limits import (
    MemoryLimit,
    available_bytes,
    has_processor_quota,
    machine_bytes,
    memory_limits,
    usable_processors,
    used_bytes,
)

PROCESSORS = len(os.sched_getaffinity(0))
MEMINFO = "MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\n"
UNLIMITED = str(2**63 - 4096)
GB = 10**9


def machine(folder: Path, group: str, mount: str, files: dict[str, str]) -> Path:
    """Writes a /proc whose process is in a control group, and the files of control groups.

    Args:
        folder: For all files.
        group: The line of /proc/self/cgroup.
        mount: The end of the line of /proc/self/mountinfo, with FOLDER where it is mounted.
        files: The files of control groups, relative to where they are mounted.
    """
    proc = folder / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(MEMINFO)
    (proc / "self" / "cgroup").write_text(f"7:pids:/\n{group}\n")
    where = folder / "mounted"
    line = mount.replace("FOLDER", str(where))
    (proc / "self" / "mountinfo").write_text(f"22 1 8:1 / / rw - ext4 /dev/vda rw\n31 22 {line}\n")
    for name, text in files.items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_text(text)
    return proc


def new_machine(folder: Path, files: dict[str, str], group: str = "0::/system/map") -> Path:
    return machine(folder, group, "0:30 / FOLDER rw - cgroup2 cgroup2 rw", files)


def test_a_machine_without_limits_has_all_its_processors_and_memory(tmp_path: Path) -> None:
    files = {"system/map/cpu.max": "max 100000\n", "system/map/memory.max": "max\n"}
    proc = new_machine(tmp_path, files)
    assert usable_processors(proc) == PROCESSORS
    assert not has_processor_quota(proc)
    assert memory_limits(proc) == []
    assert (machine_bytes(proc), available_bytes(proc)) == (8_192_000_000, 6_144_000_000)


@pytest.mark.parametrize(
    ("quota", "processors"), [("50000", 1), ("150000", 1), ("900000000", PROCESSORS)]
)
def test_a_processor_quota_is_rounded_down_to_whole_processors(
    tmp_path: Path, quota: str, processors: int
) -> None:
    proc = new_machine(tmp_path, {"system/map/cpu.max": f"{quota} 100000\n"})
    assert usable_processors(proc) == processors


def test_the_smallest_limit_of_all_control_groups_above_a_process_counts(tmp_path: Path) -> None:
    proc = new_machine(
        tmp_path,
        {
            "system/map/memory.max": str(4 * GB),
            "system/map/memory.current": str(GB),
            "system/map/memory.stat": "anon 5\ninactive_file 250000000\n",
            "system/memory.max": str(3 * GB),
            "system/memory.current": str(2 * GB),
            "system/memory.stat": "inactive_file 0\n",
            "system/cpu.max": "100000 100000",
        },
    )
    assert memory_limits(proc) == [
        MemoryLimit(limit=4 * GB, free=3_250_000_000),
        MemoryLimit(limit=3 * GB, free=GB),
    ]
    assert (machine_bytes(proc), available_bytes(proc)) == (3 * GB, GB)
    assert usable_processors(proc) == 1


@pytest.mark.parametrize(
    ("mount", "group", "place"),
    [
        ("0:35 / FOLDER rw - cgroup cgroup rw,memory", "4:memory:/docker/ab", "docker/ab/"),
        ("0:35 /docker/ab FOLDER rw - cgroup cgroup rw,memory", "4:memory:/docker/ab", ""),
        ("0:35 /docker/ab FOLDER rw - cgroup cgroup rw,memory", "4:memory:/", ""),
        ("0:35 / FOLDER rw - cgroup cgroup rw,memory", "4:memory:/../../pod", ""),
    ],
)
def test_memory_limits_of_control_groups_1_are_read_on_the_host_and_in_a_container(
    tmp_path: Path, mount: str, group: str, place: str
) -> None:
    files = {
        f"{place}memory.limit_in_bytes": str(2 * GB),
        f"{place}memory.usage_in_bytes": str(GB),
        f"{place}memory.stat": "inactive_file 1\ntotal_inactive_file 1000\n",
    }
    proc = machine(tmp_path, group, mount, files)
    assert memory_limits(proc) == [MemoryLimit(limit=2 * GB, free=GB + 1000)]


def test_a_control_group_of_version_1_may_have_no_limit(tmp_path: Path) -> None:
    files = {
        "memory.limit_in_bytes": UNLIMITED,
        "memory.usage_in_bytes": str(GB),
        "memory.stat": "total_inactive_file 0\n",
        "cpu.cfs_quota_us": "-1\n",
        "cpu.cfs_period_us": "100000\n",
    }
    mount = "0:35 / FOLDER rw - cgroup cgroup rw,memory,cpu"
    proc = machine(tmp_path, "4:cpu,memory:/", mount, files)
    assert memory_limits(proc) == []
    assert usable_processors(proc) == PROCESSORS
    (tmp_path / "mounted" / "cpu.cfs_quota_us").write_text("120000\n")
    assert usable_processors(proc) == 1


def test_a_machine_without_control_groups_has_no_limits(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)
    assert memory_limits(tmp_path) == []
    assert usable_processors(tmp_path) == PROCESSORS


def test_the_limits_of_this_machine_give_a_process_processors_and_memory() -> None:
    assert 1 <= usable_processors() <= PROCESSORS
    assert 0 < available_bytes() <= machine_bytes()
    assert used_bytes("self") == pytest.approx(used_bytes(os.getpid()), rel=0.1)

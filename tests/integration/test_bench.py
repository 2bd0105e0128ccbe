"""Runs the benchmarks on small data; their seconds are not checked."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.servers import require_program
from tests.waiting import WAIT_SECONDS

SMALL = "--narrow --patch 64 64 64 --variant fast --arithmetic exact --runs 1 --slices 20 --size 64"
SMALL += " --gemm-size 512"


def test_the_speed_benchmark_writes_its_table(tmp_path: Path) -> None:
    report = tmp_path / "results" / "speed.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed", *SMALL.split(), "--output", str(report)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = report.read_text()
    assert text in done.stdout
    lines = [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("|")]
    rows = {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines[2:]}
    assert list(rows) == [
        "TotalSegmentator",
        "exact",
        "exact, warm",
        "limit, fp32",
        "limit, bf16",
    ]
    assert rows["exact"][-1] == "0"
    assert rows["exact, warm"][-1] == "0"
    assert "Limit: 1 tiles" in text


def test_the_exactness_benchmark_finds_no_voxel_that_differs_from_totalsegmentator(
    tmp_path: Path,
) -> None:
    """Its first shape has the columns of one in which 6,860 voxels differed in the last column."""
    report = tmp_path / "exactness.md"
    command = [sys.executable, "-m", "benchmarks.exactness", "--shapes", "2", "--narrow"]
    command += ["--variant", "fast", "--thin", "--output", str(report)]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert report.read_text().count(" 0 of ") == 2


def test_the_benchmark_of_seg_writers_runs() -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.seg",
        "--slices",
        "40",
        "--size",
        "64",
    ]
    command += ["--runs", "1", "--writers", "TotalMAP", "highdicom"]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, ours, peer = done.stdout.splitlines()
    assert ours.startswith("TotalMAP ")
    assert peer.startswith("highdicom ")


def test_the_benchmark_of_rtstruct_writers_runs(tmp_path: Path) -> None:
    report = tmp_path / "rtstruct.md"
    command = [
        sys.executable,
        "-m",
        "benchmarks.rtstruct",
        "--slices",
        "20",
        "--size",
        "64",
    ]
    command += ["--runs", "1", "--output", str(report)]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout in report.read_text()
    _, _, ours, checked, peer = done.stdout.splitlines()
    assert ours.startswith("TotalMAP ")
    assert checked.startswith("TotalMAP, checked ")
    assert peer.startswith("rt-utils ")


def test_the_benchmark_of_the_dicom_receivers_runs(tmp_path: Path) -> None:
    require_program("storescu", "dcmtk")
    require_program("Orthanc", "orthanc")
    report = tmp_path / "receiving.md"
    command = [sys.executable, "-m", "benchmarks.receiving", "--instances", "8", "--runs", "1"]
    command += ["--output", str(report)]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout in report.read_text()
    names = [line[:24].strip() for line in done.stdout.splitlines()[2:]]
    assert names == [
        "TotalMAP",
        "TotalMAP, one process",
        "pynetdicom, one process",
        "Orthanc",
        "Orthanc, TCP_NODELAY=1",
    ]


def test_the_benchmark_of_receiving_beside_idle_associations_runs(tmp_path: Path) -> None:
    require_program("storescu", "dcmtk")
    report = tmp_path / "idle.md"
    command = [sys.executable, "-m", "benchmarks.idle_associations", "--instances", "8"]
    command += ["--runs", "1", "--output", str(report)]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout in report.read_text()
    assert [line[:26].strip() for line in done.stdout.splitlines()[2:]] == [
        "TotalMAP, one process",
        "pynetdicom, one process",
        "ratio",
    ]


def test_the_benchmark_of_the_dashboard_measures_every_page(tmp_path: Path) -> None:
    report = tmp_path / "dashboard.md"
    command = [sys.executable, "-m", "benchmarks.dashboard", "--jobs", "200", "--runs", "1"]
    command += ["--output", str(report)]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout in report.read_text()
    assert "\na study " in done.stdout


def test_the_benchmark_of_the_start_of_the_dicom_receiver_runs(tmp_path: Path) -> None:
    report = tmp_path / "gateway_start.md"
    command = [sys.executable, "-m", "benchmarks.gateway_start", "--instances", "500"]
    command += ["--folder", str(tmp_path), "--output", str(report)]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout in report.read_text()


def test_the_benchmark_of_the_time_outside_the_networks_measures_cold_and_warm_runs(
    tmp_path: Path,
) -> None:
    report = tmp_path / "outside_network.md"
    command = [sys.executable, "-m", "benchmarks.outside_network", "--runs", "1"]
    command += ["--slices", "20", "--size", "48", "--output", str(report)]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout in report.read_text()
    rows = {line[:24].strip(): line[24:].split() for line in done.stdout.splitlines()[3:]}
    assert all(len(rows[name]) == 4 for name in ("start", "network", "measure", "write_seg"))
    assert len(rows["outside"]) == 3

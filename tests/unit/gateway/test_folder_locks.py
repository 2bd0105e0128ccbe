"""Tests the locks of a storage folder, and the names of machines and workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.folder_locks import (
    machine_name,
    only_gateway,
    only_worker,
    running_machines,
    serving_process,
)
from tests.servers import free_port
from totalmap.errors import ConfigError, ExitStatus, ResourceError


def test_a_second_gateway_on_a_storage_folder_ends_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    port = {"port": free_port()}
    settings = {"storage_folder": str(tmp_path / "storage"), "receive": port, "web": port}
    file.write_text(yaml.safe_dump(settings))
    with only_gateway(tmp_path / "storage"):
        second = subprocess.run(
            [sys.executable, "-m", "cli", "serve", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert second.returncode == ExitStatus.TRY_AGAIN
    (line,) = second.stderr.splitlines()
    assert "a gateway uses this folder already" in line
    assert not second.stdout
    with only_gateway(tmp_path / "storage"):
        pass  # the first one has ended


def test_two_machines_with_the_same_host_name_keep_different_names_in_the_gateway(
    tmp_path: Path,
) -> None:
    with machine_name(tmp_path) as first, machine_name(tmp_path) as second:
        assert first != second
    with machine_name(tmp_path) as one, machine_name(tmp_path) as other:
        assert {one, other} == {first, second}
    assert len([*(tmp_path / "machines").iterdir()]) == 2


def test_a_second_gateway_worker_with_the_same_name_is_refused_while_the_first_runs(
    tmp_path: Path,
) -> None:
    with only_worker(tmp_path, "a-1"):
        with only_worker(tmp_path, "a-2"):
            pass
        with pytest.raises(ResourceError, match="a-1 runs already"), only_worker(tmp_path, "a-1"):
            pass
    with only_worker(tmp_path, "a-1"):
        pass


def test_the_machines_of_a_running_gateway_are_known_until_it_ends(tmp_path: Path) -> None:
    assert running_machines(tmp_path / "missing") == []
    with machine_name(tmp_path) as receives, machine_name(tmp_path, only_work=True) as works:
        found = {machine.name: machine for machine in running_machines(tmp_path)}
        assert {name: machine.only_work for name, machine in found.items()} == {
            receives: False,
            works: True,
        }
        assert serving_process(tmp_path).pid == os.getpid()
    assert running_machines(tmp_path) == []
    with pytest.raises(ConfigError, match="runs on this machine"):
        serving_process(tmp_path)
    assert not (tmp_path / "missing").exists()

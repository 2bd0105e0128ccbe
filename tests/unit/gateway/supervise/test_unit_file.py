"""Tests that the systemd unit suits the gateway."""

import shutil
import subprocess

import pytest

from gateway.config import GatewaySettings
from tests.conftest import REPOSITORY

UNIT = REPOSITORY / "deploy" / "gateway" / "totalmap-gateway.service"


def test_the_unit_restarts_a_failed_gateway_and_not_a_drained_one() -> None:
    lines = [line for line in UNIT.read_text().splitlines() if line and line[0] not in "#["]
    settings = dict(line.split("=", 1) for line in lines)
    assert (settings["Type"], settings["UMask"]) == ("notify", "0077")
    assert settings["Restart"] == "on-failure"
    assert settings["RestartPreventExitStatus"] == "64 66 70"
    assert settings["OOMPolicy"] == "continue", "others go on when the kernel ends a worker"
    assert int(settings["TimeoutStopSec"]) > GatewaySettings().work.stop_seconds


def test_systemd_accepts_the_unit_file() -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    words = [program, "verify", "--man=no", str(UNIT)]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stderr
    others = [line for line in said.splitlines() if "is not executable" not in line]
    assert not [line for line in others if "totalmap-gateway.service:" in line], said

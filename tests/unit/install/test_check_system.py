import subprocess
import sys

import pytest

from install.check_system import unsupported
from tests.conftest import REPOSITORY


@pytest.mark.parametrize("python", [(3, 11), (3, 12), (3, 13)])
def test_the_installer_supports_debian_and_ubuntu_with_a_supported_python(
    python: tuple[int, int],
) -> None:
    assert unsupported("Linux", "x86_64", python, (2, 35)) is None


@pytest.mark.parametrize(
    ("system", "machine", "python", "glibc", "named"),
    [
        ("Darwin", "x86_64", (3, 12), None, "Darwin"),
        ("Linux", "aarch64", (3, 12), (2, 36), "aarch64"),
        ("Linux", "x86_64", (3, 12), (2, 34), "glibc 2.34"),
        ("Linux", "x86_64", (3, 12), None, "another C library"),
        ("Linux", "x86_64", (3, 10), (2, 36), "Python 3.10"),
        ("Linux", "x86_64", (3, 14), (2, 41), "Python 3.14"),
    ],
)
def test_the_installer_tells_an_unsupported_system_the_reason_and_a_way_out(
    system: str, machine: str, python: tuple[int, int], glibc: tuple[int, int] | None, named: str
) -> None:
    reason = unsupported(system, machine, python, glibc)
    assert reason is not None
    assert named in reason
    assert "container" in reason
    assert reason.count("\n") == 0


def test_the_installer_supports_this_machine() -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "install" / "check_system.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")

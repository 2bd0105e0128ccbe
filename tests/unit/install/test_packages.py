import subprocess
import sys
from importlib import metadata

from tests.conftest import REPOSITORY


def test_the_environment_of_the_tests_has_the_packages_of_the_locks() -> None:
    """PyTorch is an exception: a machine with a GPU has another build."""
    from install.read_lock_files import lock_of

    pins = [pin for lock in ("run", "gateway", "development") for pin in lock_of(lock).pins]
    wanted = dict(pin.split("==") for pin in pins)
    found = {}
    for name in wanted:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # asked for by another Python only
            found[name] = wanted[name]
    assert found == wanted


def test_the_installer_imports_the_standard_library_only() -> None:
    """The installer runs in a new environment, which has no packages."""
    program = "import install.packages, install.licences, install.bundle; print('imported')"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "imported\n", done.stderr

import pytest

from install.locks import UNUSED, lock_of, names_in
from install.renew_locks import CUDA_ONLY

HASHED = ("build", "run", "torch-cuda", "gateway", "development")


def names(lock: str) -> set[str]:
    return {pin.partition("==")[0] for pin in lock_of(lock).pins}


@pytest.mark.parametrize("lock", HASHED)
def test_every_package_of_a_lock_has_a_hash(lock: str) -> None:
    assert lock_of(lock).pins
    assert all(lock_of(lock).hashes)


def test_a_run_installs_nothing_that_it_does_not_need() -> None:
    installed = names("run") | names("torch-cuda") | names("gateway")
    assert not installed & {"vtk", "fury", "pyarrow", "cupy-cuda13x", "holoscan-cli"}
    assert installed & set(names_in(UNUSED)) <= {"pip", "setuptools"}


def test_the_cpu_gets_no_package_of_cuda_but_the_library_that_holoscan_links() -> None:
    installed = names("run") | names("torch-cpu") | names("gateway")
    assert not installed & set(CUDA_ONLY)
    assert {name for name in installed if name.startswith("nvidia")} == {"nvidia-cuda-runtime"}


def test_what_the_product_is_made_of_is_installed() -> None:
    assert {
        "highdicom",
        "holoscan-cu13",
        "monai",
        "monai-deploy-app-sdk",
        "nibabel",
        "pydicom",
        "totalsegmentator",
    } <= names("run")


def test_a_package_has_one_version_in_all_locks() -> None:
    pins = {pin for lock in (*HASHED, "packaged") for pin in lock_of(lock).pins}
    assert len(pins) == len({pin.partition("==")[0] for pin in pins})


def test_nothing_is_listed_as_unused_that_nobody_asks_for() -> None:
    """The packager installs all that is asked for."""
    asked = names("packaged") | set(CUDA_ONLY)
    listed = {name.lower().replace("_", "-") for name in names_in(UNUSED)}
    assert listed <= asked


def test_the_size_of_the_download_is_known() -> None:
    assert all(lock_of(lock).download_mb > 0 for lock in ("run", "torch-cpu", "torch-cuda"))

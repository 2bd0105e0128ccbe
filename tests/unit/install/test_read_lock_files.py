import pytest

from install.read_lock_files import UNUSED, lock_of, names_in
from install.renew_locks import CUDA_ONLY

HASHED = ("build", "run", "torch-cuda", "gateway", "development")


def names(lock: str) -> set[str]:
    return {pin.partition("==")[0] for pin in lock_of(lock).pins}


@pytest.mark.parametrize("lock", HASHED)
def test_every_package_of_a_requirements_lock_has_a_hash(lock: str) -> None:
    assert lock_of(lock).pins
    assert all(lock_of(lock).hashes)


def test_the_requirements_lock_of_a_run_holds_no_unused_package() -> None:
    installed = names("run") | names("torch-cuda") | names("gateway")
    assert not installed & {"vtk", "fury", "pyarrow", "cupy-cuda13x", "holoscan-cli"}
    assert installed & set(names_in(UNUSED)) <= {"pip", "setuptools"}


def test_the_requirements_lock_for_the_cpu_holds_one_cuda_package_for_holoscan() -> None:
    installed = names("run") | names("torch-cpu") | names("gateway")
    assert not installed & set(CUDA_ONLY)
    assert {name for name in installed if name.startswith("nvidia")} == {"nvidia-cuda-runtime"}


def test_the_requirements_lock_of_a_run_holds_the_required_packages() -> None:
    assert {
        "highdicom",
        "holoscan-cu13",
        "monai",
        "monai-deploy-app-sdk",
        "nibabel",
        "pydicom",
        "totalsegmentator",
    } <= names("run")


def test_a_package_has_one_version_in_all_requirements_locks() -> None:
    pins = {pin for lock in (*HASHED, "packaged") for pin in lock_of(lock).pins}
    assert len(pins) == len({pin.partition("==")[0] for pin in pins})


def test_every_package_in_the_list_of_unused_packages_is_a_dependency() -> None:
    """The packager installs all dependencies, the unused ones too."""
    asked = names("packaged") | set(CUDA_ONLY)
    listed = {name.lower().replace("_", "-") for name in names_in(UNUSED)}
    assert listed <= asked


def test_the_requirements_lock_states_the_size_of_the_download() -> None:
    assert all(lock_of(lock).download_mb > 0 for lock in ("run", "torch-cpu", "torch-cuda"))

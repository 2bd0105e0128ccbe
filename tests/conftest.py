"""Defines fixtures for many tests: phantom studies, narrow networks, a real CT."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

import app  # noqa: F401  before any test imports Holoscan
from tests.networks import GALLBLADDER, VERTEBRA, build_finder, build_models
from tests.peer import Peer
from tests.phantom.study import WrittenSeries, write_series
from tests.segmentations import segmentation_of
from totalmap.engine.tasks import load_task
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings, Variant, load_settings

# `make test` runs three tests at a time. If threads of torch used processor time while they wait,
# they would delay the threads that they wait for: tests would be four times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# No test fails because the machine is busy.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

REPOSITORY = Path(__file__).parent.parent
DEMO_MODELS = REPOSITORY / "models" / "demo"
REAL_DATA = REPOSITORY.parent / "shared" / "data" / "totalsegmentator-example"


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """Resets the log level after each test, because a command of the test may have changed it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps what is proven about this machine out of the developer's cache, and not for long.

    The processes of `make test` share it, so that each shortcut is proven once.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(folder)


@pytest.fixture(scope="session")
def phantom_series(tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    """A small axial CT of the trunk; tests may read it only."""
    return write_series(tmp_path_factory.mktemp("phantom"), 1)


@pytest.fixture(scope="session")
def true_segmentation(phantom_series: WrittenSeries) -> Segmentation:
    """The segmentation that a perfect network would find in `phantom_series`."""
    return segmentation_of(phantom_series)


@pytest.fixture
def phantom_copy(phantom_series: WrittenSeries, tmp_path: Path) -> Path:
    """A copy of the files of `phantom_series` that a test may damage."""
    return Path(shutil.copytree(phantom_series.folder, tmp_path / "study"))


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The settings of app.yaml, without environment variables of the machine."""
    return load_settings(REPOSITORY / "app.yaml", {})


@pytest.fixture(scope="session")
def real_ct() -> Path:
    """A real CT of 20 slices with empty UIDs (Apache-2.0, from TotalSegmentator's repository)."""
    folder = REAL_DATA / "ct_dicom"
    if not folder.is_dir():
        pytest.skip(f"the real CT is not here: {folder}")
    return folder


@pytest.fixture(scope="session")
def fast_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow random 3 mm network."""
    return build_models(tmp_path_factory.mktemp("fast-models"), Variant.FAST)


@pytest.fixture(scope="session")
def quick_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 3 mm network that labels bones and takes no time, for tests of the way of a study."""
    folder = tmp_path_factory.mktemp("quick-models")
    return build_finder(folder, load_task("total", Variant.FAST), GALLBLADDER, bone_label=VERTEBRA)


@pytest.fixture(scope="session")
def full_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five narrow random 1.5 mm networks."""
    return build_models(tmp_path_factory.mktemp("full-models"), Variant.FULL)


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """TotalSegmentator's command, run many times in one process."""
    with Peer(tmp_path_factory.mktemp("peer")) as process:
        yield process

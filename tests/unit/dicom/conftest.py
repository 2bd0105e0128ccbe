"""Small series of the phantom whose headers a test changes."""

from pathlib import Path

import pytest

from tests.phantom import WrittenSeries, write_enhanced, write_series
from tests.unit.dicom.instance_files import SPEC


@pytest.fixture
def series(tmp_path: Path) -> WrittenSeries:
    return write_series(tmp_path / "classic", 1, SPEC)


@pytest.fixture
def path(series: WrittenSeries) -> Path:
    """The file of slice 1."""
    return series.paths[1]


@pytest.fixture
def enhanced(tmp_path: Path) -> WrittenSeries:
    return write_enhanced(tmp_path / "enhanced", 1, SPEC)

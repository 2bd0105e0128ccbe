import stat
from pathlib import Path

import pytest

from gateway.web.password import (
    FILE_NAME,
    FIRST_FILE_NAME,
    check_password,
    ensure_password,
    set_password,
)
from totalmap.errors import ConfigError, ResourceError


def test_only_the_right_password_is_accepted(tmp_path: Path) -> None:
    set_password(tmp_path, "Schlüssel zum Haus")
    assert check_password(tmp_path, "Schlüssel zum Haus")
    assert not check_password(tmp_path, "Schlüssel zum Haus ")
    assert not check_password(tmp_path, "")


def test_the_password_file_holds_a_salted_hash_and_is_private(tmp_path: Path) -> None:
    set_password(tmp_path, "a long password")
    first = (tmp_path / FILE_NAME).read_text()
    assert "a long password" not in first
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    set_password(tmp_path, "a long password")
    assert (tmp_path / FILE_NAME).read_text() != first
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_only_the_first_start_makes_a_random_password(tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    file = ensure_password(folder)
    assert file == folder / FIRST_FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    password = file.read_text().strip()
    assert check_password(folder, password)
    assert ensure_password(folder) is None
    assert check_password(folder, password)
    other = ensure_password(tmp_path)
    assert other is not None
    assert other.read_text().strip() != password
    set_password(folder, "a long password")
    assert not file.exists(), "it is no longer the password"


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has 5 characters, 10 are needed"):
        set_password(tmp_path, "short")
    with pytest.raises(ResourceError, match=FILE_NAME):
        check_password(tmp_path, "short")

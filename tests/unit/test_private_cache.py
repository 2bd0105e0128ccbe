import os
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from totalmap.private_cache import FOLDER_NAME, PrivateCache, cache_home


@pytest.fixture
def cache(tmp_path: Path) -> PrivateCache:
    return PrivateCache(tmp_path)


def kept(cache: PrivateCache, content: bytes = b"content") -> Path:
    """Writes a file `facts`, and returns its path."""
    assert cache.update("facts", lambda _old: content)
    assert cache.path is not None
    return cache.path / "facts"


def reasons(cache: PrivateCache, name: str = "facts") -> list[str]:
    """Reads a file that may not be used, and returns why."""
    with capture_logs() as events:
        assert cache.read(name) is None
    return [event["reason"] for event in events if event["event"] == "cache_ignored"]


def test_the_private_cache_is_where_the_settings_or_the_xdg_specification_say() -> None:
    variables = {"XDG_CACHE_HOME": "/xdg", "HOME": "/home/user"}
    assert cache_home(Path("/named"), variables) == Path("/named")
    assert cache_home(None, variables) == Path("/xdg")
    assert cache_home(None, {"XDG_CACHE_HOME": "relative", "HOME": "/home/user"}) == Path(
        "/home/user/.cache"
    )
    assert cache_home(None, {}) is None


def test_only_the_owner_can_use_the_private_cache_folder_and_its_files(cache: PrivateCache) -> None:
    path = kept(cache)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    assert cache.read("facts") == b"content"
    assert cache.is_usable()


@pytest.mark.parametrize("mode", [0o750, 0o702, 0o777])
def test_a_private_cache_folder_that_others_may_use_is_ignored_with_the_reason(
    cache: PrivateCache, mode: int
) -> None:
    kept(cache).parent.chmod(mode)
    assert reasons(cache) == ["other users may use the folder"]
    assert not cache.update("facts", lambda _old: b"new")


@pytest.mark.parametrize("mode", [0o640, 0o602])
def test_a_private_cache_file_that_others_may_use_is_ignored_and_replaced(
    cache: PrivateCache, mode: int
) -> None:
    kept(cache).chmod(mode)
    assert reasons(cache) == ["other users may use facts"]
    assert kept(cache, b"new").stat().st_mode & 0o777 == 0o600
    assert cache.read("facts") == b"new"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("place", [".", "facts"])
def test_a_private_cache_of_another_user_is_ignored(cache: PrivateCache, place: str) -> None:
    path = kept(cache)
    os.chown(path.parent / place, 12345, -1)
    assert reasons(cache) in (["another user owns the folder"], ["another user owns facts"])


def test_links_in_place_of_the_private_cache_folder_or_a_file_are_not_followed(
    cache: PrivateCache, tmp_path: Path
) -> None:
    path = kept(cache)
    real = path.rename(path.with_name("real"))
    path.symlink_to(real)
    assert len(reasons(cache)) == 1
    elsewhere = PrivateCache(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FOLDER_NAME).symlink_to(path.parent)
    assert len(reasons(elsewhere, "real")) == 1


def test_a_pipe_in_place_of_a_private_cache_file_is_ignored(cache: PrivateCache) -> None:
    path = kept(cache)
    path.unlink()
    os.mkfifo(path, 0o600)
    assert reasons(cache) == ["facts is not a file"]


@pytest.mark.parametrize("home", [None, Path("/dev/null/none"), Path("/proc/none")])
def test_without_a_place_for_the_private_cache_nothing_is_kept_and_nothing_is_logged(
    home: Path | None,
) -> None:
    cache = PrivateCache(home)
    with capture_logs() as events:
        assert not cache.update("facts", lambda _old: b"content")
        assert cache.read("facts") is None
        assert not cache.is_usable()
    assert events == []


def test_the_private_cache_keeps_all_updates_of_several_writers_at_once(tmp_path: Path) -> None:
    def write(number: int) -> None:
        cache = PrivateCache(tmp_path)  # a descriptor of its own, as in a process of its own
        cache.update("facts", lambda old: (old or b"") + bytes([number]))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(PrivateCache(tmp_path).read("facts") or b"") == list(range(16))


def test_what_a_killed_writer_left_in_the_private_cache_is_removed_by_the_next_one(
    cache: PrivateCache,
) -> None:
    path = kept(cache)
    path.with_name("facts.0123.part").write_bytes(b"half")
    kept(cache)
    assert [entry.name for entry in path.parent.iterdir()] == ["facts"]


def test_an_update_of_the_private_cache_that_fails_leaves_the_old_content(
    cache: PrivateCache,
) -> None:
    path = kept(cache)

    def fail(_old: bytes | None) -> bytes:
        raise KeyError

    with pytest.raises(KeyError):
        cache.update("facts", fail)
    assert path.read_bytes() == b"content"
    cache.remove("facts")
    assert cache.read("facts") is None


def test_the_oldest_private_cache_files_of_a_family_make_room_for_a_new_one(
    cache: PrivateCache,
) -> None:
    kept(cache)
    for number in range(3):
        cache.put(f"network-{number}", bytes(40), family="network-", most_bytes=100)
    assert cache.read("network-0") is None
    assert cache.read("network-1") == cache.read("network-2") == bytes(40)
    assert cache.read("facts") == b"content"
    assert cache.read("network-1", largest_bytes=39) is None


def test_a_private_cache_file_is_put_only_into_a_folder_of_the_owner_alone(
    cache: PrivateCache,
) -> None:
    folder = kept(cache).parent
    folder.chmod(0o755)
    cache.put("network", b"content", family="network", most_bytes=100)
    assert not (folder / "network").exists()

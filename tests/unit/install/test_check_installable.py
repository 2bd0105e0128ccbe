"""`make check-install` is tested with a package index on this machine that has one package."""

import hashlib
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from install.check_installable import installable, pip_agrees, strange_hashes, unreachable
from install.read_lock_files import read_lock
from tests.conftest import REPOSITORY

PYTHON = "{}.{}".format(*sys.version_info[:2])
WHEEL = "alpha-1.0-py3-none-any.whl"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "simple" / "alpha" / WHEEL
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("alpha.py", "")
        folder = "alpha-1.0.dist-info"
        archive.writestr(f"{folder}/METADATA", "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n")
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{folder}/RECORD", "")
    (path.parent / "index.html").write_text(
        f'<a href="{WHEEL}#sha256={digest_of(path)}">{WHEEL}</a>', encoding="utf-8"
    )
    return path


@pytest.fixture(scope="module")
def index(wheel: Path) -> Iterator[str]:
    handler = partial(QuietHandler, directory=str(wheel.parents[2]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lock(folder: Path, pin: str, digest: str) -> Path:
    path = folder / "lock.txt"
    path.write_text(f"{pin} \\\n    --hash=sha256:{digest}\n", encoding="utf-8")
    return path


def test_check_locks_passes_a_lock_if_the_index_has_its_packages(
    index: str, wheel: Path, tmp_path: Path
) -> None:
    assert installable([lock(tmp_path, "alpha==1.0", digest_of(wheel))], PYTHON, index) == ""


def test_check_locks_names_a_version_that_the_index_lacks(index: str, tmp_path: Path) -> None:
    assert "alpha==2.0" in installable([lock(tmp_path, "alpha==2.0", "0" * 64)], PYTHON, index)


def test_check_locks_refuses_a_hash_that_the_index_does_not_list(
    index: str, wheel: Path, tmp_path: Path
) -> None:
    good = lock(tmp_path, "alpha==1.0", digest_of(wheel))
    assert strange_hashes(read_lock(good), index) == ""
    bad = lock(tmp_path, "alpha==1.0", "0" * 64)
    assert "alpha==1.0" in strange_hashes(read_lock(bad), index)


def test_pip_accepts_only_packages_that_the_index_has(
    index: str, monkeypatch: pytest.MonkeyPatch, wheel: Path, tmp_path: Path
) -> None:
    """A configured folder with local wheels does not count."""
    local = tmp_path / "alpha-3.0-py3-none-any.whl"
    local.write_bytes(wheel.read_bytes())
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert pip_agrees(["alpha==1.0"], index) == ""
    assert "alpha==3.0" in pip_agrees(["alpha==3.0"], index)


def test_a_package_index_that_answers_is_reachable(index: str) -> None:
    assert "404" in unreachable(index)  # it has no pip


def test_a_package_index_behind_a_closed_port_is_unreachable() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    assert "refused" in unreachable(f"http://127.0.0.1:{port}/simple")


def test_a_package_index_that_never_answers_is_unreachable() -> None:
    start = time.thread_time()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        reason = unreachable(f"http://127.0.0.1:{port}/simple", seconds=0.5)
    assert reason in ("no answer within 0.5 s", "timed out")
    assert time.thread_time() - start < 1


def test_check_locks_fails_with_one_sentence_if_pypi_is_unreachable() -> None:
    """A check that can't be made counts as failed; it is not skipped."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "-m", "install.check_installable"],
        cwd=REPOSITORY,
        env=os.environ | {"HTTPS_PROXY": f"http://127.0.0.1:{port}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "can't be reached" in done.stderr

"""Postgres from Debian, on a free port of this machine, with an empty database."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import LOOPBACK, free_port

USER = "postgres"
_BINARIES = Path("/usr/lib/postgresql")


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yields the URL of an empty database; the server ends with the block.

    Skips the test where Postgres is not installed.
    """
    found = sorted(_BINARIES.glob("*/bin/initdb"))
    if not found:
        pytest.skip("Postgres is not installed (Debian: postgresql)")
    binaries, port = found[-1].parent, free_port()
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        if os.getuid() == 0:  # as which it refuses to run
            shutil.chown(folder, USER)
        data = Path(folder) / "data"
        _run(
            [str(binaries / "initdb"), "--pgdata", str(data), "--username", USER, "--auth", "trust"]
        )
        options = f"-p {port} -c listen_addresses={LOOPBACK} -c unix_socket_directories="
        control = [str(binaries / "pg_ctl"), "--pgdata", str(data), "--silent", "--wait"]
        _run([*control, "--log", str(data / "log"), "--options", options, "start"])
        try:
            yield f"postgresql+psycopg://{USER}@{LOOPBACK}:{port}/postgres"
        finally:
            _run([*control, "--mode", "immediate", "stop"])


def _run(words: Sequence[str]) -> None:
    user = USER if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    done = subprocess.run(words, capture_output=True, text=True, user=user, cwd="/", check=False)
    assert done.returncode == 0, done.stderr

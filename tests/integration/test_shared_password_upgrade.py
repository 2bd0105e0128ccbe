"""The first start after an upgrade from the shared password, up to the first administrator."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from tests.conftest import DEMO_MODELS
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.web.browsing import PASSWORD, log_in
from tests.waiting import WAIT_SECONDS, wait_until

SHARED = "abcd-efgh-ijkm-npqr"
COMMAND = "totalmap gateway user add NAME --role administrator"
# How version 0.2.0 stored it; of the hash nothing depends.
OLD_FILES = {"web-password": f"{'00' * 16}:{'11' * 64}", "first-web-password": f"{SHARED}\n"}


def settings_file(folder: Path, port: int) -> Path:
    (folder / "storage").mkdir()
    for name, content in OLD_FILES.items():
        (folder / "storage" / name).write_text(content)
    document = {
        "storage_folder": str(folder / "storage"),
        "receive": {"port": free_port(), "keep_free_gb": 0.0},
        "work": {"models_folder": str(DEMO_MODELS), "devices": ["cpu"]},
        "web": {"port": port},
    }
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


@contextmanager
def serving(file: Path, output: Path) -> Iterator[None]:
    with output.open("w") as log:
        command = [sys.executable, "-m", "cli", "serve", str(file)]
        with subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
            try:
                yield
            finally:
                process.send_signal(signal.SIGTERM)


def test_after_an_upgrade_from_the_shared_password_only_added_accounts_may_log_in(
    tmp_path: Path,
) -> None:
    port, output = free_port(), tmp_path / "output"
    file = settings_file(tmp_path, port)

    def is_up() -> bool:
        try:
            return client.get("/login").is_success
        except httpx.TransportError:
            return False

    with (
        serving(file, output),
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=WAIT_SECONDS) as client,
    ):
        wait_until(is_up, "the page")
        said = output.read_text()
        assert "The shared password of the earlier version is removed and lets nobody in." in said
        assert f"Add one: `{COMMAND} --config {file}`" in said
        assert not any((tmp_path / "storage" / name).exists() for name in OLD_FILES)
        assert COMMAND in client.get("/login").text
        assert log_in(client, SHARED, user="anybody").status_code == 401
        password_file = tmp_path / "password"
        password_file.write_text(PASSWORD)
        words = COMMAND.replace("totalmap", "-m cli", 1).replace("NAME", "anna").split()
        command = [sys.executable, *words, "--password-file", str(password_file), "-c", str(file)]
        subprocess.run(command, check=True)
        assert log_in(client, PASSWORD, user="anna").status_code == 303
        assert "anna</a>, administrator" in client.get("/").text
        assert COMMAND not in client.get("/login").text

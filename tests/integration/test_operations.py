"""Runs every command of docs/operations.md, in the order of the page, with a real gateway.

systemd can't run here: `systemctl` starts, stops and reloads the gateway as the unit says, without
its sandbox, and `useradd` only notes its arguments.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import httpx
import pydicom
import pytest
import trustme
import yaml

from gateway.config import load_gateway_settings
from gateway.folder_locks import running_machines
from gateway.store.database import open_existing_database
from gateway.store.job import JobState
from gateway.store.jobs import JobList
from tests.conftest import REPOSITORY
from tests.documents import blocks, commands
from tests.gateway_process import storescu
from tests.phantom.study import write_series
from tests.postgres import USER, running_postgres
from tests.servers import LOOPBACK, free_port, require_program
from tests.service import SMALL
from tests.unit.gateway.work.docker_stand_in import DockerStandIn
from tests.waiting import WAIT_SECONDS, wait_until

PAGE = REPOSITORY / "docs" / "operations.md"
SYSTEMCTL = """#!{python}
import os, signal, socket, subprocess, sys, tempfile, time
from pathlib import Path

folder = Path({folder!r})
pid = folder / "main-pid"
words = [word for word in sys.argv[1:] if not word.startswith("--")]

def is_active():
    if not pid.exists():
        return False
    try:
        state = Path(f"/proc/{{pid.read_text()}}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    except FileNotFoundError:
        return False

def line(key):
    unit = (folder / "etc/systemd/system/totalmap-gateway.service").read_text()
    (found,) = [line for line in unit.splitlines() if line.startswith(key + "=")]
    command = found.partition("=")[2].split()
    assert command[0] == "/opt/totalmap/.venv/bin/totalmap"
    given = [word.replace("/etc/totalmap", str(folder / "etc/totalmap")) for word in command[1:]]
    return [sys.executable, "-m", "cli", *given]

if words == ["daemon-reload"] or words == ["reload", "nginx"]:
    sys.exit(0)
verb, unit = words
assert unit == "totalmap-gateway"
if verb == "is-active":
    sys.exit(0 if is_active() else 3)
if verb == "reload":
    sys.exit(subprocess.call(line("ExecReload")))
if verb in ("start", "enable"):
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(tempfile.mktemp())  # Type=notify
    environment = {{**os.environ, "NOTIFY_SOCKET": notified.getsockname()}}
    log = (folder / "var/log/totalmap.log").open("ab")
    command = line("ExecStart")
    started = subprocess.Popen(
        command, stderr=log, stdout=log, env=environment, start_new_session=True
    )
    while notified.recv(100) != b"READY=1":
        pass
    os.unlink(notified.getsockname())
    pid.write_text(str(started.pid))
if verb == "stop" and is_active():
    os.kill(int(pid.read_text()), signal.SIGTERM)
    while is_active():
        time.sleep(0.1)
"""


@dataclass
class Place:
    """The machine of the page, in a folder."""

    folder: Path
    environment: Mapping[str, str]
    port: int
    page: int

    @property
    def file(self) -> Path:
        """Its gateway.yaml."""
        return self.folder / "etc" / "totalmap" / "gateway.yaml"

    def run(self, command: str) -> str:
        """Runs a command of the page, and returns what it says."""
        own = command.replace(".venv/bin/totalmap", shlex.join([sys.executable, "-m", "cli"]))
        for path in ("/etc/", "/backup/", "/var/"):
            own = re.sub(rf"(?<![\w/]){path}", f"{self.folder}{path}", own)
        own = own.replace("nginx -t", f"nginx -t -c {self.folder}/nginx.conf -e {self.folder}/log")
        done = subprocess.run(
            ["bash", "-c", own],
            cwd=REPOSITORY,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{own}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def change(self, **sections: object) -> None:
        """Changes gateway.yaml."""
        self.file.write_text(yaml.safe_dump({**yaml.safe_load(self.file.read_text()), **sections}))

    def reasons(self) -> list[str]:
        """Returns what /health names."""
        try:
            answer = httpx.get(f"http://{LOOPBACK}:{self.page}/health", timeout=WAIT_SECONDS)
        except httpx.TransportError:
            return ["no page"]
        return list(answer.json()["reasons"])

    def wait_until_healthy(self) -> None:
        wait_until(lambda: self.reasons() == [], "healthy")

    def states(self) -> list[JobState]:
        """Returns the states of all jobs on record."""
        with open_existing_database(load_gateway_settings(self.file)) as database:
            return [job.state for job in JobList(database).jobs(list(JobState))]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    docker = DockerStandIn(tmp_path / "docker")
    docker.succeeds()
    programs = tmp_path / "bin"
    programs.mkdir()
    scripts = {
        "systemctl": SYSTEMCTL.format(python=sys.executable, folder=str(tmp_path)),
        "useradd": "#!/bin/sh\nexit 0\n",
    }
    for name, text in scripts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for folder in ("etc/systemd/system", "etc/nginx/conf.d", "var/log", "var/lib", "backup"):
        (tmp_path / folder).mkdir(parents=True)
    nginx = require_program("nginx", "nginx-light")
    path = os.pathsep.join([str(programs), os.environ["PATH"], str(nginx.parent)])
    made = Place(tmp_path, {"PATH": path}, free_port(), free_port())
    try:
        yield made
    finally:
        for machine in running_machines(tmp_path / "var/lib/totalmap"):
            os.killpg(machine.pid, 9)


def edit_settings(place: Place) -> None:
    place.change(
        storage_folder=str(place.folder / "var/lib/totalmap"),
        receive={"port": place.port, "keep_free_gb": 0.1, "processes": 1},
        complete={"quiet_seconds": 0.5},
        web={"port": place.page},
        work={"runner": "container", "container": {"docker": str(place.folder / "docker/docker")}},
    )


def renew_certificate(place: Place) -> None:
    certificate = trustme.CA().issue_cert(LOOPBACK)
    names = ("certificate.pem", "key.pem")
    for folder in (place.folder / "etc/totalmap", place.folder / "etc/nginx/totalmap"):
        folder.mkdir(exist_ok=True)
        for name in names:
            certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / name))


def write_host_name(place: Place) -> None:
    """Writes the paths of this place into the installed file of nginx."""
    installed = place.folder / "etc/nginx/conf.d/totalmap.conf"
    text = installed.read_text().replace(
        "/etc/nginx/totalmap", f"{place.folder}/etc/nginx/totalmap"
    )
    installed.write_text(re.sub(r"listen (80|443)", lambda _: f"listen {free_port()}", text))
    (place.folder / "nginx.conf").write_text(
        f"pid {place.folder}/nginx.pid;\nevents {{}}\nhttp {{ include {installed}; }}\n"
    )


def send_study(place: Place) -> None:
    place.wait_until_healthy()
    series = write_series(place.folder / "study", 5, SMALL)
    assert pydicom.dcmread(series.paths[0]).PatientName
    said, _ = (sender := storescu(place.port, [place.folder / "study"])).communicate()
    assert sender.returncode == 0, said
    wait_until(lambda: place.states() == [JobState.SEGMENTED], "segmented")


# What a reader does at each place of the page, before the command.
BEFORE = {
    ".venv/bin/totalmap gateway check /etc/totalmap/gateway.yaml": edit_settings,
    "systemctl reload totalmap-gateway": send_study,
    "openssl x509 -noout -enddate -in /etc/totalmap/certificate.pem": renew_certificate,
    "nginx -t": write_host_name,
}


def test_the_commands_of_the_operations_page_install_upgrade_and_restore_a_gateway(
    place: Place,
) -> None:
    page = commands(PAGE)
    said: dict[str, str] = {}
    with running_postgres() as url:
        address = httpx.URL(url.replace("postgresql+psycopg", "http"))
        place.environment = {
            **place.environment,
            "PGHOST": str(address.host),
            "PGPORT": str(address.port),
            "PGUSER": USER,
        }
        for command in page:
            if command in BEFORE and command not in said:
                BEFORE[command](place)
            if "gateway migrate" in command:
                database = url.replace(f"{USER}@", "totalmap@").removesuffix(USER) + "totalmap"
                place.change(ledger_url=database)
            said[command] = place.run(command)
            if command.endswith("gateway drain /etc/totalmap/gateway.yaml"):
                assert "Nothing is received until `totalmap gateway resume`" in said[command]
            if command.startswith("while "):
                assert place.states() == [JobState.SEGMENTED], "nothing is lost by a drain"
            if command.endswith("gateway resume /etc/totalmap/gateway.yaml"):
                place.wait_until_healthy()
        place.wait_until_healthy()
        assert place.states() == [JobState.SEGMENTED], "in Postgres"
        place.run("systemctl stop totalmap-gateway")
    assert "The gateway runs on" in said[".venv/bin/totalmap status /etc/totalmap/gateway.yaml"]
    with ZipFile(place.folder / "backup/report.zip") as report:
        assert b"settings_reloaded" in report.read("log.txt")
    assert len(page) == sum(len(block.splitlines()) for block in blocks(PAGE))

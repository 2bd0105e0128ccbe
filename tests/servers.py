"""Starts Orthanc from Debian, as a PACS, on free ports of this machine."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from types import MappingProxyType

import pydicom
import pytest

from tests.waiting import WAIT_SECONDS

LOOPBACK = "127.0.0.1"
BOUNDARY = "boundary-between-instances"
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
POLL_SECONDS = 0.05
# Linux takes the ports of outgoing connections from 32768 up (net.ipv4.ip_local_port_range): such a
# connection could take a port before the server that it was chosen for.
_PORTS = range(20_000, 32_768)
_MOST_WORKERS = 8
_GIVEN_PORTS: set[int] = set()


def require_program(name: str, debian_package: str) -> Path:
    """Returns the path of a program, or skips the test that needs it.

    Programs of our virtual environment do not count: pynetdicom has a storescu, too.
    """
    own = Path(sys.executable).parent
    folders = [folder for folder in os.get_exec_path() if Path(folder) != own]
    path = shutil.which(name, path=os.pathsep.join([*folders, "/usr/sbin", "/sbin"]))
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: {debian_package})")
    return Path(path)


def free_port() -> int:
    """Returns a free TCP port of the loopback; never the same one twice.

    The workers of pytest-xdist choose from different ports.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = _PORTS[worker % _MOST_WORKERS :: _MOST_WORKERS]
    while True:
        port = secrets.choice(ports)
        if port not in _GIVEN_PORTS and _is_free(port):
            _GIVEN_PORTS.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_open(connection: socket.socket) -> bool:
    """Returns whether a silent connection is still open at the other end."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc with its DICOMweb plugin.

    Attributes:
        http_port: The port of its REST API; DICOMweb is at /dicom-web.
        dicom_port: The port for C-STORE.
    """

    http_port: int
    dicom_port: int

    @property
    def url(self) -> str:
        """The address for a browser."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def store(self, *paths: Path) -> None:
        """Sends files by C-STORE, each in its own transfer syntax and in no other."""
        command = ["dcmsend", "--decompress-never", "--no-uid-checks", "--verbose"]
        where = [LOOPBACK, str(self.dicom_port)]
        done = subprocess.run(
            [*command, *where, *map(str, paths)], capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert said.count("Received C-STORE Response (Success)") == len(paths), said

    def stow(self, *paths: Path) -> None:
        """Sends files by STOW-RS (PS3.18 10.5)."""
        head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        parts = b"".join(head + path.read_bytes() + b"\r\n" for path in paths)
        answer = self._ask(
            "POST",
            "/dicom-web/studies",
            parts + f"--{BOUNDARY}--\r\n".encode(),
            {
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
                "Accept": "application/dicom+json",
            },
        )
        stored = pydicom.Dataset.from_json(answer.decode())
        failed = stored.get("FailedSOPSequence")
        assert not failed, failed
        assert len(stored.ReferencedSOPSequence) == len(paths)

    def file(self, sop_instance_uid: str) -> bytes:
        """Returns the file of an instance that Orthanc returns."""
        return self._ask("GET", f"/instances/{self._id(sop_instance_uid)}/file")

    def delete(self, sop_instance_uid: str) -> None:
        """Deletes an instance from Orthanc."""
        self._ask("DELETE", f"/instances/{self._id(sop_instance_uid)}")

    def send(self, modality: str, *sop_instance_uids: str) -> None:
        """Makes Orthanc send instances to one of its modalities by C-STORE."""
        resources = [self._id(uid) for uid in sop_instance_uids]
        self._ask("POST", f"/modalities/{modality}/store", json.dumps(resources).encode())

    def ask_for_commitment(self, modality: str, instances: Mapping[str, str]) -> str:
        """Makes Orthanc request storage commitment from a modality; returns the transaction's ID.

        Args:
            modality: One of its modalities.
            instances: SOP Instance UIDs, each with its SOP Class UID.
        """
        asked = [
            {"SOPInstanceUID": uid, "SOPClassUID": sop_class}
            for uid, sop_class in instances.items()
        ]
        path = f"/modalities/{modality}/storage-commitment"
        answer = self._ask("POST", path, json.dumps({"DicomInstances": asked}).encode())
        return str(json.loads(answer)["ID"])

    def commitment(self, transaction: str) -> str:
        """Returns the state of a request for storage commitment: Pending, Success or Failure."""
        return str(json.loads(self._ask("GET", f"/storage-commitment/{transaction}"))["Status"])

    def is_up(self) -> bool:
        """Returns whether Orthanc answers at both ports."""
        try:
            self._ask("GET", "/dicom-web/studies")
            socket.create_connection((LOOPBACK, self.dicom_port)).close()
        except OSError:
            return False
        return True

    def _id(self, sop_instance_uid: str) -> str:
        answer = json.loads(self._ask("POST", "/tools/lookup", sop_instance_uid.encode()))
        ids = [found["ID"] for found in answer if found["Type"] == "Instance"]
        assert len(ids) == 1, f"Orthanc holds {len(ids)} of the instance"
        return str(ids[0])

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        with closing(HTTPConnection(LOOPBACK, self.http_port, timeout=WAIT_SECONDS)) as http:
            http.request(method, path, body, dict(headers))
            response = http.getresponse()
            answer = response.read()
        assert response.status == HTTPStatus.OK, f"{path}: {response.status}: {answer!r}"
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthancProgram:
    """A version of Orthanc that can be started.

    Attributes:
        command: The program, without its settings.
        dicomweb: Its plugin for DICOMweb.
        knows_label_maps: Whether it takes Label Map Segmentation by C-STORE as it is. If not, it is
            started with `UnknownSopClassAccepted`.
        environment: Variables that it needs besides those of the machine.
    """

    command: tuple[str, ...]
    dicomweb: Path
    knows_label_maps: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def installed_orthanc() -> OrthancProgram:
    """Returns the Orthanc of this machine, or skips the test that needs it."""
    program = require_program("Orthanc", "orthanc")
    if not DICOMWEB.exists():
        pytest.skip("Orthanc's DICOMweb is not installed (Debian: orthanc-dicomweb)")
    return OrthancProgram(command=(str(program),), dicomweb=DICOMWEB)


@contextmanager
def running_orthanc(
    folder: Path,
    environment: Mapping[str, str] = MappingProxyType({}),
    modalities: Mapping[str, tuple[str, int]] = MappingProxyType({}),
    program: OrthancProgram | None = None,
) -> Iterator[Orthanc]:
    """Yields an empty Orthanc that stores into a folder, and stops it at the end of the block.

    The environment is added to that of the machine. Modalities are the DICOM nodes of this machine
    that Orthanc knows, by name: an AE title and a port for each. Without a program it is the
    installed one.

    Skips the test if Orthanc or its DICOMweb plugin is not installed.
    """
    program = program or installed_orthanc()
    orthanc = Orthanc(http_port=free_port(), dicom_port=free_port())
    settings = folder / "orthanc.json"
    nodes = {name: [title, LOOPBACK, port] for name, (title, port) in modalities.items()}
    content = _settings(orthanc, folder) | {"DicomModalities": nodes}
    content |= {
        "Plugins": [str(program.dicomweb)],
        "UnknownSopClassAccepted": not program.knows_label_maps,
    }
    settings.write_text(json.dumps(content))
    with (folder / "orthanc.log").open("w+") as log:
        process = subprocess.Popen(
            [*program.command, settings],
            env={**os.environ, **program.environment, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_up(orthanc, process)
            yield orthanc
        except AssertionError as error:
            log.seek(0)
            error.add_note(f"Orthanc said: {log.read()[-2000:]}")
            raise
        finally:
            process.kill()  # there is nothing to be kept
            process.wait()


def _settings(orthanc: Orthanc, folder: Path) -> dict[str, object]:
    return {
        "Name": "tests",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": orthanc.http_port,
        "DicomPort": orthanc.dicom_port,
        "RemoteAccessAllowed": False,
        "DicomWeb": {"Enable": True, "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
    }


def _wait_until_up(orthanc: Orthanc, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not orthanc.is_up():
        assert time.monotonic() < deadline, "Orthanc does not answer"
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
            raise AssertionError("Orthanc has ended")

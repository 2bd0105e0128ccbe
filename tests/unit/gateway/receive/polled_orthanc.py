"""An Orthanc from Debian that the gateway polls, and a record of the requests."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL, Signals
from threading import Event

import httpx
from pydantic import HttpUrl

from gateway.config import OrthancSection
from gateway.receive.intake import Intake
from gateway.receive.orthanc_polling import OrthancServer, OrthancSource
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from gateway.store.polled_studies import PolledStudies
from tests.servers import LOOPBACK, free_port, require_program
from tests.waiting import WAIT_SECONDS, wait_until

STABLE_SECONDS = 1


class Archive:
    """An Orthanc that can be stopped and started again."""

    def __init__(self, folder: Path, **more: object) -> None:
        folder.mkdir()
        self.files = folder / "files"
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._settings = folder / "orthanc.json"
        settings = {
            "StorageDirectory": str(self.files),
            "IndexDirectory": str(self.files),
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "StableAge": STABLE_SECONDS,
            "MaximumStorageCacheSize": 0,  # what is done to its files is seen
            **more,
        }
        self._settings.write_text(json.dumps(settings))
        self._log = folder / "orthanc.log"

    @contextmanager
    def running(self, end: Signals = SIGKILL) -> Iterator[None]:
        program = require_program("Orthanc", "orthanc")
        with self._log.open("a") as log:
            process = subprocess.Popen([program, self._settings], stdout=log, stderr=log)
        try:
            wait_until(self._is_up)
            yield
        finally:
            process.send_signal(end)
            process.wait()

    def store(self, *paths: Path) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=WAIT_SECONDS) as client:
            for path in paths:
                client.post("/instances", content=path.read_bytes()).raise_for_status()

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/system", timeout=WAIT_SECONDS).status_code < 500
        except httpx.TransportError:
            return False


class Recorded:
    """A source and what it asks for."""

    def __init__(
        self,
        archive: Archive,
        intake: Intake,
        storage: Storage,
        ledger: Ledger,
        database: Database,
        stop_after: int | None = None,
        since_days: float | None = None,
    ) -> None:
        self.asked: list[str] = []
        self.stop = Event()
        self._stop_after = stop_after
        self.client = httpx.Client(
            base_url=archive.url,
            trust_env=False,
            timeout=WAIT_SECONDS,
            event_hooks={"request": [self._record]},
        )
        settings = OrthancSection(url=HttpUrl(archive.url), since_days=since_days)
        server = OrthancServer(self.client, "archive")
        self.polled = PolledStudies(database, "archive")
        self.source = OrthancSource(settings, server, intake, storage, ledger, self.polled)

    def poll(self) -> None:
        self.source.poll(self.stop)

    @property
    def fetched(self) -> list[str]:
        return [item for item in self.asked if item.endswith("/file")]

    def _record(self, request: httpx.Request) -> None:
        self.asked.append(request.url.path)
        if self.asked[-1:] == self.fetched[-1:] and len(self.fetched) == self._stop_after:
            self.stop.set()

    def close(self) -> None:
        self.client.close()


def wait_for_the_next_second(archive: Archive) -> None:
    now = archive_seconds(archive)
    wait_until(lambda: archive_seconds(archive) > now)


def archive_seconds(archive: Archive) -> int:
    """Returns Orthanc's clock, which counts seconds."""
    return int(httpx.get(f"{archive.url}/tools/now", timeout=WAIT_SECONDS).text.replace("T", ""))

"""Polls an Orthanc by its REST API, and takes the studies that the ledger does not have.

Its StableStudy event is lost with a restart and repeated by an identical re-send, so it is not
used: its list of studies is compared with the ledger. One request tells whether anything has
changed since the last comparison. Studies that it had long before the first poll are left out: a
new gateway should not segment a whole archive.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from ssl import create_default_context
from threading import Event
from typing import Annotated, TypeVar
from uuid import uuid4

import httpx
from pydantic import AliasPath, BaseModel, Field, TypeAdapter, ValidationError

from gateway.config import OrthancSection
from gateway.config.named_files import read_secret, shown
from gateway.receive.free_space import FreeSpace
from gateway.receive.intake import Intake, ReceivedFile
from gateway.receive.periodic_callback import polling
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from gateway.store.polled_studies import PolledStudies
from totalmap.errors import ConfigError, InputError, ResourceError
from totalmap.log import get_logger

PAGE = 200

_Answer = TypeVar("_Answer")
REQUEST_SECONDS = 30.0
# Everything is compared after so long, even if Orthanc says that nothing has changed.
COMPARE_SECONDS = 300.0
SECONDS_PER_DAY = 86_400

log = get_logger()


class _Changes(BaseModel):
    last: Annotated[int, Field(alias="Last")]


class Study(BaseModel):
    """A study at Orthanc.

    Attributes:
        last_update: When its newest instance came, UTC, such as 20261126T103000.
    """

    id: Annotated[str, Field(alias="ID")]
    is_stable: Annotated[bool, Field(alias="IsStable")]
    last_update: Annotated[str, Field(alias="LastUpdate")]
    uid: Annotated[str, Field(validation_alias=AliasPath("MainDicomTags", "StudyInstanceUID"))]


class Series(BaseModel):
    """A series of a study."""

    id: Annotated[str, Field(alias="ID")]
    modality: Annotated[str, Field(validation_alias=AliasPath("MainDicomTags", "Modality"))] = ""


class Instance(BaseModel):
    """An instance of a series."""

    id: Annotated[str, Field(alias="ID")]
    uid: Annotated[str, Field(validation_alias=AliasPath("MainDicomTags", "SOPInstanceUID"))]


class NotServed(ResourceError):
    """Orthanc answers with an error, or with unexpected content."""


class OrthancServer:
    """Calls Orthanc's REST API, of version 1.10 or newer.

    Each method raises ResourceError if it does not answer, and NotServed if it refuses.
    """

    def __init__(self, client: httpx.Client, name: str) -> None:
        self._client = client
        self.name = name

    def last_change(self) -> int:
        """Returns the number of the last change."""
        return self._get("/changes", _Changes, {"last": ""}).last

    def studies(self) -> Iterator[Study]:
        """Yields all studies, page by page."""
        start = 0
        while True:
            page = self._get("/studies", list[Study], {"expand": "", "since": start, "limit": PAGE})
            yield from page
            if len(page) < PAGE:
                return
            start += PAGE

    def has_study(self, study_id: str) -> bool:
        """Returns whether a study is still there."""
        try:
            answer = self._client.get(f"/studies/{study_id}")
        except httpx.HTTPError as error:
            raise self._failed(error) from error
        return answer.status_code != HTTPStatus.NOT_FOUND

    def series(self, study_id: str) -> Sequence[Series]:
        """Returns the series of a study."""
        return self._get(f"/studies/{study_id}/series", list[Series])

    def instances(self, series_id: str) -> Sequence[Instance]:
        """Returns the instances of a series."""
        return self._get(f"/series/{series_id}/instances", list[Instance])

    def fetch(self, instance_id: str, path: Path, free_space: FreeSpace) -> None:
        """Writes an instance to a file, as long as there is free space."""
        try:
            with self._client.stream("GET", f"/instances/{instance_id}/file") as answer:
                self._require_success(answer)
                with path.open("xb") as file:
                    for chunk in answer.iter_bytes():
                        free_space.require(len(chunk))
                        file.write(chunk)
        except httpx.HTTPError as error:
            raise self._failed(error) from error
        except OSError as error:
            raise ResourceError(f"an instance can't be stored: {error.strerror}") from error

    def _get(
        self, path: str, kind: type[_Answer], parameters: Mapping[str, str | int] | None = None
    ) -> _Answer:
        try:
            answer = self._client.get(path, params=parameters)
        except httpx.HTTPError as error:
            raise self._failed(error) from error
        self._require_success(answer)
        adapter: TypeAdapter[_Answer] = TypeAdapter(kind)
        try:
            return adapter.validate_json(answer.content)
        except ValidationError as error:
            raise NotServed(f"{self.name}{path} does not answer as Orthanc does") from error

    def _require_success(self, answer: httpx.Response) -> None:
        if not answer.is_success:
            path = answer.request.url.path
            raise NotServed(f"{self.name}{path} answers with HTTP {answer.status_code}")

    def _failed(self, error: httpx.HTTPError) -> ResourceError:
        return ResourceError(f"{self.name} does not answer: {str(error) or type(error).__name__}")


@contextmanager
def polling_orthanc(
    settings: OrthancSection,
    intake: Intake,
    storage: Storage,
    ledger: Ledger,
    database: Database,
) -> Iterator[None]:
    """Takes new studies of an Orthanc while the block runs.

    Args:
        settings: The Orthanc.
        intake: Stores what is received.
        storage: Where files are written while they are received.
        ledger: With the instances that are here already.
        database: With the studies that were taken before.

    Raises:
        ConfigError: A certificate or password can't be read.
        ResourceError: The database fails.
    """
    with _client(settings) as client:
        url = settings.url
        server = OrthancServer(client, f"{url.host}:{url.port}")
        polled = PolledStudies(database, f"{url.host}:{url.port}{url.path or ''}")
        source = OrthancSource(settings, server, intake, storage, ledger, polled)
        with polling(server.name, source.poll, settings.poll_seconds):
            yield


def _client(settings: OrthancSection) -> httpx.Client:
    password = settings.password_file and read_secret(
        settings.password_file, "receive.orthancs.password_file"
    )
    try:
        trusted = create_default_context(cafile=settings.ca_file)
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"{shown(settings.ca_file, 'ca_file')}: no certificate can be read: {error}"
        ) from error
    return httpx.Client(
        base_url=str(settings.url),
        auth=(settings.user, password) if settings.user and password else None,
        verify=trusted,
        timeout=REQUEST_SECONDS,
        trust_env=False,
    )


class OrthancSource:
    """Takes missing instances from an Orthanc; after a restart all studies are compared again.

    Each method raises ResourceError if the database fails.
    """

    def __init__(
        self,
        settings: OrthancSection,
        server: OrthancServer,
        intake: Intake,
        storage: Storage,
        ledger: Ledger,
        polled: PolledStudies,
    ) -> None:
        self._settings = settings
        self._server = server
        self._intake = intake
        self._storage = storage
        self._ledger = ledger
        self._polled_studies = polled
        self._last_change: int | None = None
        self._compared_at = 0.0
        self._settled = dict(polled.studies())
        self._transfers: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._refused: set[str] = set()

    def poll(self, stop: Event) -> None:
        """Takes the missing instances of all stable studies.

        Raises:
            ResourceError: Orthanc does not answer, or the disk or database fails.
        """
        last_change = self._server.last_change()
        is_recent = time.monotonic() - self._compared_at < COMPARE_SECONDS
        if last_change == self._last_change and is_recent:
            return
        self._last_change = None
        since = self._since()
        listed: set[str] = set()
        is_all_here = True
        for study in self._server.studies():
            if stop.is_set():
                return
            listed.add(study.id)
            if study.last_update >= since and not self._settle(study, stop):
                is_all_here = False
        self._forget_all_but(listed)
        self._compared_at = time.monotonic()
        if is_all_here:
            self._last_change = last_change

    def _since(self) -> str:
        """Returns the earliest `last_update` of a study to be taken."""
        begun_at, days = self._polled_studies.begun_at(), self._settings.since_days
        if days is None:
            return ""
        return time.strftime("%Y%m%dT%H%M%S", time.gmtime(begun_at - days * SECONDS_PER_DAY))

    def _forget_all_but(self, listed: set[str]) -> None:
        self._transfers = {
            study: transfer for study, transfer in self._transfers.items() if study in listed
        }
        for study in self._settled.keys() - listed:
            # A page leaves out a study if another one is deleted meanwhile.
            if not self._server.has_study(study):
                self._polled_studies.forget(study)
                del self._settled[study]

    def _settle(self, study: Study, stop: Event) -> bool:
        """Takes missing instances of a study; returns whether nothing is missing any more."""
        if self._settled.get(study.id) == study.last_update:
            return True
        if not study.is_stable or not self._complete(study, stop):
            return False
        self._polled_studies.settle(study.id, study.last_update)
        self._settled[study.id] = study.last_update
        return True

    def _complete(self, study: Study, stop: Event) -> bool:
        """Takes the missing instances of a stable study; returns whether it is complete."""
        on_record = {instance.sop_instance_uid for instance in self._ledger.instances(study.uid)}
        try:
            missing = [item for item in self._wanted(study) if item.uid not in on_record]
        except NotServed as error:
            self._say(study.id, str(error))
            return False
        taken = [self._take(study, item) for item in missing if not stop.is_set()]
        if stop.is_set() or not all(taken):
            return False
        transfer = self._transfers.get(study.id)
        if transfer is not None:
            self._intake.end(transfer, is_whole=True)
            del self._transfers[study.id]
        return True

    def _wanted(self, study: Study) -> Iterator[Instance]:
        for series in self._server.series(study.id):
            if series.modality in self._settings.modalities:
                yield from self._server.instances(series.id)

    def _take(self, study: Study, instance: Instance) -> bool:
        """Takes an instance; returns whether it need not be asked for again."""
        if instance.id in self._refused:
            return True
        path = self._storage.new_file()
        try:
            self._server.fetch(instance.id, path, self._intake.free_space)
            self._intake.take(
                ReceivedFile(
                    path=path,
                    sender=self._settings.sender,
                    transfer=self._transfers.setdefault(study.id, uuid4().hex),
                    sop_instance_uid=instance.uid,
                )
            )
        except NotServed as error:
            self._say(instance.id, str(error))
            return False
        except InputError as error:
            self._say(instance.id, str(error))
            self._refused.add(instance.id)
        finally:
            path.unlink(missing_ok=True)
        return True

    def _say(self, about: str, reason: str) -> None:
        """Logs why something can't be taken, when the reason changes."""
        if self._failures.get(about) != reason:
            log.warning("instance_refused", sender=self._settings.sender, reason=reason)
            self._failures[about] = reason

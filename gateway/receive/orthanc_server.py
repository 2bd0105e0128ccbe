"""Orthanc's REST API, as much of it as is asked."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, TypeVar

import httpx
from pydantic import AliasPath, BaseModel, Field, TypeAdapter, ValidationError

from gateway.receive.free_space import FreeSpace
from totalmap.errors import ResourceError

PAGE = 200

_Answer = TypeVar("_Answer")


class _Changes(BaseModel):
    last: Annotated[int, Field(alias="Last")]


class Study(BaseModel):
    """A study.

    Attributes:
        last_update: When its newest instance came, to a second, UTC: 20261126T103000.
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
    """An Orthanc answers, but not with what it was asked for."""


class OrthancServer:
    """Orthanc's REST API, of version 1.10 or newer.

    Each method raises ResourceError where it does not answer, and NotServed where it refuses.
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
        """Returns whether a study is there that was."""
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
        """Writes the file of an instance, as far as there is space for it."""
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

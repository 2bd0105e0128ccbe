"""Sends DICOM files by STOW-RS (PS3.18 10.5)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from ssl import create_default_context
from uuid import uuid4

import httpx

from gateway.config import StowDestination
from gateway.config.named_files import read_secret
from totalmap.errors import ConfigError, ResourceError

CHUNK_BYTES = 1 << 20
FAILED_SOP_SEQUENCE = "00081198"
# The service is there, and does not offer this (RFC 9110 15.5.6 and 15.6.2).
_NOT_OFFERED = (httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.NOT_IMPLEMENTED)


def send_stow(destination: StowDestination, files: Sequence[Path]) -> None:
    """Sends files in one request, streamed from the disk.

    Raises:
        ResourceError: The server did not take all of them; with the reason.
    """
    with _client(destination) as client:
        url = f"{str(destination.url).rstrip('/')}/studies"
        answer = _asked(destination, lambda: _post(client, url, files))
    if answer.status_code not in (httpx.codes.OK, httpx.codes.ACCEPTED):
        raise ResourceError(f"{_name(destination)} answers with HTTP {answer.status_code}")
    if _has_failed(answer):
        raise ResourceError(f"{_name(destination)} did not take all of {len(files)} objects")


def search(destination: StowDestination, query: Mapping[str, str]) -> httpx.Response:
    """Searches for studies at a server (QIDO-RS, PS3.18 10.6), and returns its response.

    Args:
        destination: The server.
        query: The parameters, such as StudyInstanceUID or limit.

    Raises:
        ResourceError: It does not answer as it should; with the reason.
    """
    with _client(destination) as client:
        url = f"{str(destination.url).rstrip('/')}/studies"
        accept = {"Accept": "application/dicom+json"}
        answer = _asked(destination, lambda: client.get(url, params=query, headers=accept))
    if answer.is_error:
        raise ResourceError(f"{_name(destination)} answers with HTTP {answer.status_code}")
    return answer


def reach(destination: StowDestination) -> str:
    """Tests a server, which may offer STOW-RS alone; returns what it answers, in words.

    It is asked for one study (QIDO-RS), and if it offers no search, for its capabilities
    (PS3.18 8.9).

    Raises:
        ResourceError: It does not answer as it should; with the reason.
    """
    with _client(destination) as client:
        url = f"{str(destination.url).rstrip('/')}/studies"
        accept = {"Accept": "application/dicom+json"}
        query = {"limit": "1"}
        found = _asked(destination, lambda: client.get(url, params=query, headers=accept))
        if not found.is_error:
            return "answers a search for studies"
        status = found.status_code
        if status in (*_NOT_OFFERED, httpx.codes.NOT_FOUND):
            capabilities = _asked(destination, lambda: client.options(url))
            if capabilities.is_success:
                return "answers a request for its capabilities"
            if status in _NOT_OFFERED and capabilities.status_code in _NOT_OFFERED:
                return "answers, and offers no search"
    raise ResourceError(f"{_name(destination)} answers with HTTP {status}")


def _client(destination: StowDestination) -> httpx.Client:
    headers = {}
    try:
        if destination.token_file is not None:
            token = read_secret(destination.token_file, "token_file")
            headers["Authorization"] = f"Bearer {token}"
        password = destination.password_file and read_secret(
            destination.password_file, "password_file"
        )
        trusted = create_default_context(cafile=destination.ca_file)
    except (OSError, ConfigError) as error:
        raise ResourceError(f"the credentials for {_name(destination)}: {error}") from error
    return httpx.Client(
        auth=(destination.user, password or "") if destination.user else None,
        headers=headers,
        verify=trusted,
        timeout=destination.connect_seconds,
        trust_env=False,
    )


def _post(client: httpx.Client, url: str, files: Sequence[Path]) -> httpx.Response:
    boundary = uuid4().hex
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Content-Length": str(sum(map(len, _heads(boundary, files))) + _content_bytes(files)),
        "Accept": "application/dicom+json",
    }
    return client.post(url, content=_body(boundary, files), headers=headers)


def _asked(destination: StowDestination, ask: Callable[[], httpx.Response]) -> httpx.Response:
    try:
        return ask()
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise ResourceError(f"{_name(destination)}: {reason}") from error
    except OSError as error:  # of a result's file
        raise ResourceError(f"a result can't be read: {error.strerror}") from error


def _has_failed(answer: httpx.Response) -> bool:
    """Returns whether the server says that it did not take all objects (PS3.18 10.5.3.2).

    Status 202 means that it says something about some objects. If that can't be understood,
    everything is sent again, which does no harm.
    """
    try:
        document = answer.json()
    except ValueError:  # empty, a text, or XML although JSON was asked for
        is_all = answer.status_code == httpx.codes.OK
        return not is_all or FAILED_SOP_SEQUENCE in answer.text
    datasets = document if isinstance(document, list) else [document]
    sequences = [
        dataset.get(FAILED_SOP_SEQUENCE) for dataset in datasets if isinstance(dataset, dict)
    ]
    return any(sequence.get("Value") for sequence in sequences if isinstance(sequence, dict))


def _body(boundary: str, files: Sequence[Path]) -> Iterator[bytes]:
    *heads, tail = _heads(boundary, files)
    for head, path in zip(heads, files, strict=True):
        yield head
        with path.open("rb") as content:
            while chunk := content.read(CHUNK_BYTES):
                yield chunk
    yield tail


def _heads(boundary: str, files: Sequence[Path]) -> Sequence[bytes]:
    """Returns the bytes before each file, and those after the last one."""
    head = f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return [head] * len(files) + [f"\r\n--{boundary}--\r\n".encode()]


def _content_bytes(files: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in files)


def _name(destination: StowDestination) -> str:
    """Returns the URL without a password that it may contain."""
    return str(httpx.URL(str(destination.url)).copy_with(userinfo=b"")).rstrip("/")

"""Sends DICOM files by STOW-RS (PS3.18 10.5)."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from ssl import create_default_context
from uuid import uuid4

import httpx

from gateway.config import StowDestination
from totalmap.errors import ResourceError

CHUNK_BYTES = 1 << 20
FAILED_SOP_SEQUENCE = "00081198"


def send_stow(destination: StowDestination, files: Sequence[Path]) -> None:
    """Sends files in one request, streamed from the disk.

    Raises:
        ResourceError: The server did not take all of them; with the reason.
    """
    boundary = uuid4().hex
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Content-Length": str(sum(map(len, _heads(boundary, files))) + _content_bytes(files)),
        "Accept": "application/dicom+json",
    }
    with _client(destination) as client:
        answer = _asked(
            destination,
            lambda: client.post(
                f"{str(destination.url).rstrip('/')}/studies",
                content=_body(boundary, files),
                headers=headers,
            ),
        )
    if answer.status_code not in (httpx.codes.OK, httpx.codes.ACCEPTED):
        raise ResourceError(f"{_name(destination)} answers with HTTP {answer.status_code}")
    failed = _failed(answer)
    if failed:
        raise ResourceError(f"{_name(destination)} did not take {failed} of {len(files)} objects")


def ask(destination: StowDestination) -> None:
    """Asks a server for an answer, by a search for one study (QIDO-RS, PS3.18 10.6).

    Raises:
        ResourceError: It does not answer as it should; with the reason.
    """
    with _client(destination) as client:
        url = f"{str(destination.url).rstrip('/')}/studies"
        answer = _asked(destination, lambda: client.get(url, params={"limit": 1}))
    if answer.is_error:
        raise ResourceError(f"{_name(destination)} answers with HTTP {answer.status_code}")


def _client(destination: StowDestination) -> httpx.Client:
    headers = {}
    try:
        if destination.token_file is not None:
            headers["Authorization"] = f"Bearer {_first_line(destination.token_file)}"
        password = destination.password_file and _first_line(destination.password_file)
        trusted = create_default_context(cafile=destination.ca_file)
    except OSError as error:
        raise ResourceError(
            f"the credentials for {_name(destination)} can't be read: {error}"
        ) from error
    return httpx.Client(
        auth=(destination.user, password or "") if destination.user else None,
        headers=headers,
        verify=trusted,
        timeout=destination.connect_seconds,
        trust_env=False,
    )


def _asked(destination: StowDestination, ask: Callable[[], httpx.Response]) -> httpx.Response:
    try:
        return ask()
    except httpx.HTTPError as error:
        raise ResourceError(f"{_name(destination)}: {error or type(error).__name__}") from error


def _failed(answer: httpx.Response) -> int:
    """Returns how many objects the server says it did not take (PS3.18 10.5.3.2)."""
    try:
        document = answer.json()
    except ValueError:  # a server that answers in another format has said OK
        return 0
    datasets = document if isinstance(document, list) else [document]
    return sum(len(one.get(FAILED_SOP_SEQUENCE, {}).get("Value", ())) for one in datasets)


def _body(boundary: str, files: Sequence[Path]) -> Iterator[bytes]:
    *heads, tail = _heads(boundary, files)
    for head, path in zip(heads, files, strict=True):
        yield head
        with path.open("rb") as content:
            while chunk := content.read(CHUNK_BYTES):
                yield chunk
    yield tail


def _heads(boundary: str, files: Sequence[Path]) -> Sequence[bytes]:
    """Returns what comes before each file, and what comes after the last one."""
    head = f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return [head] * len(files) + [f"\r\n--{boundary}--\r\n".encode()]


def _content_bytes(files: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in files)


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].strip()


def _name(destination: StowDestination) -> str:
    return str(destination.url).rstrip("/")

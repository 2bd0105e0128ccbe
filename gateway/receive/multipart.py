"""Parses multipart/related (RFC 2046 5.1, RFC 2387) while it is received.

python-multipart is for forms: it takes neither a preamble nor white space after a boundary, which
RFC 2046 allows and DICOMweb clients send.
"""

from collections.abc import Iterator
from enum import Enum, auto

from totalmap.errors import InputError

MAX_HEADER_BYTES = 16_384
MAX_PADDING_BYTES = 256
# RFC 2046 5.1.1 allows 70, and Orthanc sends 73.
MAX_BOUNDARY_CHARACTERS = 200


class MalformedMultipart(InputError):
    """A request is not multipart, or has no end."""


class Mark(Enum):
    """The begin or the end of a part."""

    BEGIN = auto()
    END = auto()


class _State(Enum):
    PREAMBLE = auto()
    AFTER_BOUNDARY = auto()
    HEADERS = auto()
    CONTENT = auto()
    EPILOGUE = auto()


class Multipart:
    """Parses a stream of parts, and skips their headers.

    It holds no more than a boundary, or the headers of a part.
    """

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode()
        self._buffer = bytearray(b"\r\n")  # the first boundary need not begin a new line
        self._state = _State.PREAMBLE
        self._steps = {
            _State.PREAMBLE: self._preamble,
            _State.AFTER_BOUNDARY: self._after_boundary,
            _State.HEADERS: self._headers,
            _State.CONTENT: self._content,
            _State.EPILOGUE: self._epilogue,
        }

    @property
    def is_whole(self) -> bool:
        """Whether the last boundary has come."""
        return self._state is _State.EPILOGUE

    def feed(self, data: bytes) -> Iterator[bytes | Mark]:
        """Yields the begin of each part, its content in pieces, and its end.

        Raises:
            MalformedMultipart: It is not multipart.
        """
        self._buffer += data
        done = None
        while done is not self._state:
            done = self._state
            yield from self._steps[done]()

    def _preamble(self) -> Iterator[bytes | Mark]:
        at = self._buffer.find(self._delimiter)
        if at < 0:
            del self._buffer[: self._surely_no_boundary()]
        else:
            self._go_on(at + len(self._delimiter), _State.AFTER_BOUNDARY)
        yield from ()

    def _after_boundary(self) -> Iterator[bytes | Mark]:
        if self._buffer.startswith(b"--"):
            self._go_on(2, _State.EPILOGUE)
            return
        end = self._end_of(b"\r\n", MAX_PADDING_BYTES)
        if end is None:
            return
        if self._buffer[:end].strip():
            raise MalformedMultipart("a boundary is followed by something else on its line")
        self._go_on(end, _State.HEADERS)
        yield Mark.BEGIN

    def _headers(self) -> Iterator[bytes | Mark]:
        if self._buffer.startswith(b"\r\n"):  # there are none
            end: int | None = 2
        else:
            end = self._end_of(b"\r\n\r\n", MAX_HEADER_BYTES)
        if end is not None:
            self._go_on(end, _State.CONTENT)
        yield from ()

    def _content(self) -> Iterator[bytes | Mark]:
        at = self._buffer.find(self._delimiter)
        end = self._surely_no_boundary() if at < 0 else at
        if end:
            yield bytes(self._buffer[:end])
        if at < 0:
            del self._buffer[:end]
        else:
            self._go_on(at + len(self._delimiter), _State.AFTER_BOUNDARY)
            yield Mark.END

    def _epilogue(self) -> Iterator[bytes | Mark]:
        self._buffer.clear()
        yield from ()

    def _go_on(self, at: int, state: _State) -> None:
        del self._buffer[:at]
        self._state = state

    def _surely_no_boundary(self) -> int:
        """Returns the number of bytes that can't be the begin of a boundary."""
        return max(0, len(self._buffer) - len(self._delimiter) + 1)

    def _end_of(self, end: bytes, limit_bytes: int) -> int | None:
        """Returns the position after an end mark; None: it has not come yet."""
        at = self._buffer.find(end)
        if (len(self._buffer) - len(end) + 1 if at < 0 else at) > limit_bytes:
            raise MalformedMultipart(f"headers of a part, or a boundary, exceed {limit_bytes} B")
        return None if at < 0 else at + len(end)

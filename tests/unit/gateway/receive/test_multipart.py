from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.receive.multipart import (
    MAX_HEADER_BYTES,
    MAX_PADDING_BYTES,
    MalformedMultipart,
    Mark,
    Multipart,
)

BOUNDARY = "b-1"


def parts(chunks: list[bytes]) -> tuple[list[bytes], bool]:
    """Returns the content of each part that has an end, and whether the last boundary came."""
    multipart, complete, open_part = Multipart(BOUNDARY), list[bytes](), b""
    for chunk in chunks:
        for event in multipart.feed(chunk):
            if event is Mark.BEGIN:
                open_part = b""
            elif event is Mark.END:
                complete.append(open_part)
            else:
                assert isinstance(event, bytes)
                open_part += event
    return complete, multipart.is_whole


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(places)]


# Much of it looks like a boundary, or like a part of one.
CONTENT = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b"--", b"-", b"b-", b"--b-", b"\r\n--b", b"x", b"\0"]),
    max_size=12,
).map(b"".join)
HEADERS = st.sampled_from([b"", b"Content-Type: application/dicom\r\n", b"A: 1\r\nB: --b-2\r\n"])
PADDING = st.sampled_from([b"", b" ", b"\t "])


@given(
    st.lists(st.tuples(PADDING, HEADERS, CONTENT), min_size=1, max_size=4),
    st.sampled_from([b"", b"preamble\r\n", b"--b-\r\n"]),
    st.sampled_from([b"", b"\r\n", b"\r\nepilogue --b-1\r\n--b-1\r\n"]),
    st.lists(st.integers(min_value=0), max_size=30),
)
def test_any_split_of_a_multipart_body_gives_the_same_parts(
    put: list[tuple[bytes, bytes, bytes]], before: bytes, after: bytes, cuts: list[int]
) -> None:
    stream = before
    for padding, headers, content in put:
        stream += b"--b-1" + padding + b"\r\n" + headers + b"\r\n" + content + b"\r\n"
    stream += b"--b-1--" + after
    assert parts(split(stream, cuts)) == ([content for _, _, content in put], True)


@given(st.binary(max_size=60) | CONTENT, st.lists(st.integers(min_value=0), max_size=10))
def test_any_split_of_random_bytes_gives_the_same_outcome_of_the_multipart_parser(
    noise: bytes, cuts: list[int]
) -> None:
    def outcome(chunks: list[bytes]) -> object:
        try:
            return parts(chunks)
        except MalformedMultipart:
            return "malformed"

    stream = b"--b-1\r\n\r\n" + noise + b"\r\n--b-1--"
    assert outcome(split(stream, cuts)) == outcome([stream])


def test_a_multipart_body_that_comes_byte_by_byte_is_parsed() -> None:
    stream = b"--b-1\r\nA: 1\r\n\r\n\r\n--b\r\n--b-1\r\n\r\n\r\n--b-1--"
    assert parts([bytes([item]) for item in stream]) == ([b"\r\n--b", b""], True)


def test_a_multipart_body_without_closing_boundary_is_not_whole() -> None:
    assert parts([b"--b-1\r\n\r\none\r\n--b-1\r\n\r\ntwo"]) == ([b"one"], False)
    assert parts([b"nothing of it"]) == ([], False)


@pytest.mark.parametrize(
    "stream",
    [
        b"--b-1x\r\n\r\n",
        b"--b-1" + b" " * (MAX_PADDING_BYTES + 1) + b"\r\n",
        b"--b-1" + b" " * (MAX_PADDING_BYTES + 2),
        b"--b-1\r\n" + b"x" * (MAX_HEADER_BYTES + 1) + b"\r\n\r\n",
        b"--b-1\r\n" + b"x" * (MAX_HEADER_BYTES + 4),
    ],
)
def test_a_body_that_is_not_multipart_is_refused(stream: bytes) -> None:
    for chunks in ([stream], [bytes([item]) for item in stream]):
        with pytest.raises(MalformedMultipart):
            parts(chunks)


def test_the_multipart_parser_holds_only_a_few_bytes_in_memory() -> None:
    multipart = Multipart(BOUNDARY)
    list(multipart.feed(b"--b-1\r\n\r\n"))
    came = 0
    for _ in range(100):
        pieces = [item for item in multipart.feed(b"\r\n--b-" * 1000) if isinstance(item, bytes)]
        came += sum(map(len, pieces))
    assert came > 599_990

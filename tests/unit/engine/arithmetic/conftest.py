from collections.abc import Iterator

import pytest

from totalmap.engine.arithmetic import proofs


@pytest.fixture(autouse=True)
def nothing_is_proven() -> Iterator[None]:
    """Lets each test find out for itself, and keeps what it found from the others."""
    before = dict(proofs._found)
    proofs._found.clear()
    yield
    proofs._found.clear()
    proofs._found.update(before)

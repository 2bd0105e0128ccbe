from collections.abc import Iterator

import pytest

from totalmap.engine.arithmetic import proven_shortcuts


@pytest.fixture(autouse=True)
def nothing_is_proven() -> Iterator[None]:
    """Starts each test as in a new process: nothing is proven, and nothing is remembered."""
    before = proven_shortcuts._knowledge
    proven_shortcuts._knowledge = proven_shortcuts._Knowledge()
    yield
    proven_shortcuts._knowledge = before

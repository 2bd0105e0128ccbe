from collections.abc import Iterator

import pytest

from totalmap.engine.arithmetic import proven_shortcuts


@pytest.fixture(autouse=True)
def nothing_is_proven() -> Iterator[None]:
    """Lets each test find out for itself, and keeps what it found from the others."""
    before = dict(proven_shortcuts._found)
    proven_shortcuts._found.clear()
    yield
    proven_shortcuts._found.clear()
    proven_shortcuts._found.update(before)

from collections.abc import Iterator

import pytest

from totalmap.engine.arithmetic import proven_shortcuts


@pytest.fixture(autouse=True)
def nothing_is_proven() -> Iterator[None]:
    """Empties the record of compared operations for each test, and restores it afterwards."""
    before = dict(proven_shortcuts._found)
    proven_shortcuts._found.clear()
    yield
    proven_shortcuts._found.clear()
    proven_shortcuts._found.update(before)

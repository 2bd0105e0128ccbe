import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from totalmap.import_without_garbage_collection import no_collection_during_imports

MODULE = "imported_while_no_garbage_is_collected"


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    gc.enable()
    yield
    sys.modules.pop(MODULE, None)
    gc.unfreeze()


@pytest.fixture
def new_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that can be imported and was not."""
    (tmp_path / f"{MODULE}.py").write_text("import gc\nCOLLECTS = gc.isenabled()\nHELD = [[]]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return MODULE


def test_a_module_is_imported_without_garbage_collection_and_its_objects_are_frozen(
    new_module: str,
) -> None:
    gc.unfreeze()
    with no_collection_during_imports():
        module = __import__(new_module)
    assert not module.COLLECTS
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert not any(found is module.HELD for found in gc.get_objects())


def test_an_import_block_that_imports_nothing_new_freezes_no_object() -> None:
    """Else a worker would keep objects of every study."""
    gc.unfreeze()
    with no_collection_during_imports():
        import json  # noqa: F401
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_garbage_is_collected_again_only_after_the_outer_of_two_import_blocks() -> None:
    with no_collection_during_imports():
        with no_collection_during_imports():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_garbage_is_collected_again_after_an_import_that_fails() -> None:
    with pytest.raises(ModuleNotFoundError), no_collection_during_imports():
        __import__("there_is_no_such_module")
    assert gc.isenabled()

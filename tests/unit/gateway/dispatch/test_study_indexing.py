from dataclasses import replace

import pytest

from gateway.dispatch.study_indexing import STUDIES_AT_ONCE, StudyIndexing
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from gateway.store.study_index import StudyIndex
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.instances import ONE
from totalmap.errors import ResourceError

STUDIES = STUDIES_AT_ONCE + 5


@pytest.fixture
def indexing(storage: Storage, database: Database, phantom_series: WrittenSeries) -> StudyIndexing:
    """More studies than fit into one transaction, none of them indexed, as after an upgrade."""
    instances = []
    for number in range(STUDIES):
        study = f"1.2.{number}"
        one = replace(
            ONE,
            study_instance_uid=study,
            sop_instance_uid=f"{study}.1",
            received_at=float(number),
        )
        path = storage.path(one)
        path.parent.mkdir()
        path.hardlink_to(phantom_series.paths[0])
        instances.append(one)
    Ledger(database).add(instances)
    return StudyIndexing(storage, database)


def test_studies_from_before_an_upgrade_are_indexed_for_the_search_newest_first(
    indexing: StudyIndexing, database: Database
) -> None:
    index = StudyIndex(database)
    indexing.apply(batch_seconds=0.0)
    assert index.count_unindexed() == STUDIES - 1
    assert index.of(f"1.2.{STUDIES - 1}") is not None
    while index.count_unindexed():
        indexing.apply()
    first = index.of("1.2.0")
    assert first is not None
    assert first.modalities == "CT"


def test_a_study_that_cannot_be_indexed_for_the_search_now_is_tried_again(
    indexing: StudyIndexing, database: Database, storage: Storage
) -> None:
    folder = storage.study_folder(f"1.2.{STUDIES - 1}")
    (file,) = folder.iterdir()
    file.unlink()
    file.mkdir()  # reading it fails, as from a disk that is away
    with pytest.raises(ResourceError, match="Is a directory"):
        indexing.apply()
    index = StudyIndex(database)
    assert index.count_unindexed() == STUDIES
    file.rmdir()  # the file is gone for good
    while index.count_unindexed():
        indexing.apply()
    assert index.of(f"1.2.{STUDIES - 1}") is None

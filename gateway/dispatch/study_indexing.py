"""Reads the attributes of new and grown studies in batches, so that users can search for them.

The attributes of studies from before this table was there are read in the same way. A batch takes
about a second at most, however much is stored.
"""

import time

from gateway.read_study_attributes import read_study_attributes
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from gateway.store.study_index import StudyAttributes, StudyIndex, UnindexedStudy

# The number of studies that are stored in one transaction.
STUDIES_AT_ONCE = 50
BATCH_SECONDS = 1.0


class StudyIndexing:
    """Indexes studies that are not indexed yet, and those that have grown."""

    def __init__(self, storage: Storage, database: Database) -> None:
        self._storage = storage
        self._ledger = Ledger(database)
        self._index = StudyIndex(database)

    def apply(self, batch_seconds: float = BATCH_SECONDS) -> None:
        """Indexes the next studies, those that came last first.

        Args:
            batch_seconds: No further study is begun after so long.

        Raises:
            ResourceError: The database or the disk fails.
        """
        deadline = time.monotonic() + batch_seconds
        is_first = True
        while is_first or time.monotonic() < deadline:
            is_first = False
            studies = self._index.unindexed(STUDIES_AT_ONCE)
            read: list[tuple[UnindexedStudy, StudyAttributes | None]] = []
            try:
                for study in studies:
                    read.append((study, self._read(study.study_instance_uid)))
                    if time.monotonic() > deadline:
                        break
            finally:
                self._index.save(read)
            if not studies:
                return

    def _read(self, study_instance_uid: str) -> StudyAttributes | None:
        content = self._ledger.content(study_instance_uid)
        return read_study_attributes(study_instance_uid, content, self._storage)

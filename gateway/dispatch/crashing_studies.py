"""Sets a study aside whose headers end the dispatcher again and again, so that others go on."""

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

from totalmap.errors import ResourceError
from totalmap.log import get_logger

FILE_NAME = "dispatching.json"
ATTEMPTS = 3
# Then it is tried once an hour; /health says meanwhile that it is not passed on.
WAIT_SECONDS = 3600.0

log = get_logger()


class CrashingStudies:
    """Remembers on the disk which studies were begun and not finished, and how often."""

    def __init__(self, storage_folder: Path) -> None:
        self._path = storage_folder / FILE_NAME
        self._begun: dict[str, list[float]] = {}
        self._reported: set[str] = set()
        with suppress(OSError, ValueError):  # there is none, or a crash has cut it off
            self._begun = json.loads(self._path.read_text("ascii"))

    def begin(self, study_instance_uid: str) -> bool:
        """Returns whether a study may be begun now, and takes note that it is.

        Raises:
            ResourceError: The note can't be written.
        """
        key = _key(study_instance_uid)
        attempts, begun_at = self._begun.get(key, (0, 0.0))
        waited = time.time() - begun_at
        if attempts >= ATTEMPTS and 0.0 <= waited < WAIT_SECONDS:
            if key not in self._reported:
                log.error("study_set_aside", study=key, attempts=int(attempts))
            self._reported.add(key)
            return False
        self._begun[key] = [attempts + 1, time.time()]
        self._write()
        return True

    def end(self, study_instance_uid: str) -> None:
        """Takes note that a study did not end the dispatcher.

        Raises:
            ResourceError: The note can't be written.
        """
        if self._begun.pop(_key(study_instance_uid), None) is not None:
            self._write()

    def _write(self) -> None:
        aside = self._path.with_suffix(".part")
        try:
            aside.write_text(json.dumps(self._begun), "ascii")
            aside.replace(self._path)
        except OSError as error:
            raise ResourceError(f"{self._path} can't be written: {error.strerror}") from error


def _key(study_instance_uid: str) -> str:
    return hashlib.sha256(study_instance_uid.encode()).hexdigest()[:16]

"""Makes the storage folder of a gateway that was killed, with the code of the working directory.

A study is segmented, one is being segmented, and one waits. The store of version 0.1.0, which the
tests upgrade, was made so:

    git worktree add /tmp/old 47821ab
    cd /tmp/old && PYTHONPATH=/tmp/old python .../tests/make_store.py .../tests/store-0.1.0.zip
"""

import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

from gateway.store.job import JobState
from gateway.store.workers import WorkerList
from tests.conftest import DEMO_MODELS
from tests.phantom.study import SeriesSpec, write_series
from tests.service import running_service
from tests.waiting import wait_until

WAITING = 2
SPEC = SeriesSpec(rows=40, columns=40, n_slices=16, pixel_spacing_mm=(7.0, 7.0))


def _main(output: Path) -> None:
    rule = {"name": "ct", "application": {"results": {"kinds": ["sr"]}}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_service(
            folder, work={"models_folder": str(DEMO_MODELS)}, rules=[rule]
        ) as service:
            write_series(folder / "done", 1, SPEC)
            service.send(folder / "done")
            wait_until(lambda: bool(service.jobs.jobs([JobState.SEGMENTED])))
            worker_list = WorkerList(service.database)
            worker_list.pause("test", is_paused=True)
            for number in range(WAITING):
                write_series(folder / f"waits-{number}", 2 + number, SPEC)
                service.send(folder / f"waits-{number}")
            wait_until(lambda: len(service.jobs.jobs([JobState.QUEUED])) == WAITING)
            worker_list.pause("test", is_paused=False)
            wait_until(lambda: bool(service.jobs.jobs([JobState.RUNNING])))
            service.kill_all()
        storage = folder / "storage"
        for file in storage.glob("*.sqlite"):
            with sqlite3.connect(file) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        for name in ("queue", "ledger"):
            for suffix in ("-wal", "-shm"):
                storage.joinpath(f"{name}.sqlite{suffix}").unlink(missing_ok=True)
        shutil.make_archive(str(output.with_suffix("")), "zip", storage)


if __name__ == "__main__":
    _main(Path(sys.argv[1]).absolute())

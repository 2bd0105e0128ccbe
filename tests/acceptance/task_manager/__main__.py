"""Runs the stand-in as a process of its own, so that it can be killed.

`python -m tests.acceptance.task_manager --broker PORT --store HOST:PORT --folder F -- COMMAND ...`
"""

import argparse
import signal
import threading
from pathlib import Path

from tests.acceptance.task_manager.container_runner import ProcessRunner
from tests.acceptance.task_manager.manager import TaskManager
from tests.acceptance.task_manager.object_store import ObjectStore


def main() -> None:
    """Serves until SIGTERM; finishes the running task first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", type=int, required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    runner = ProcessRunner(command=given.command)
    manager = TaskManager(given.broker, ObjectStore(given.store), given.folder, runner)
    manager.serve(ended.is_set)


if __name__ == "__main__":
    main()

"""Lets one gateway at a time use a storage folder, and gives each machine a unique name.

A lock of the file system ends with the process that holds it, also if that is killed.
"""

import fcntl
import glob
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from totalmap.errors import ResourceError

GATEWAY_LOCK = "gateway.lock"
# Holds a file for each machine, named after it and locked while its gateway runs.
MACHINES_FOLDER = "machines"
WORKERS_FOLDER = "workers"
_HOST_CHARACTERS = 30
_ID_BYTES = 4


@contextmanager
def only_gateway(storage_folder: Path) -> Iterator[None]:
    """Locks a storage folder against other gateways and commands that change its files.

    Raises:
        ResourceError: Another gateway, or such a command, uses it.
    """
    with _locked(storage_folder / GATEWAY_LOCK) as is_ours:
        if not is_ours:
            raise ResourceError(
                f"{storage_folder}: a gateway uses this folder already: stop it first; further "
                "machines run `totalmap serve --only-work`"
            )
        yield


@contextmanager
def machine_name(storage_folder: Path) -> Iterator[str]:
    """Yields the unique name of this machine among those that use the storage folder now.

    It consists of the host name and a random number, and is the same at each start. Two machines
    with the same host name, or copies of a virtual machine, get different names.
    """
    folder = storage_folder / MACHINES_FOLDER
    host = socket.gethostname()[:_HOST_CHARACTERS]
    made_before = f"{glob.escape(host)}-{'[0-9a-f]' * 2 * _ID_BYTES}"
    for file in sorted(folder.glob(made_before)):
        with _locked(file) as is_ours:
            if is_ours:
                yield file.name
                return
    new = folder / f"{host}-{secrets.token_hex(_ID_BYTES)}"
    with _locked(new) as is_ours:
        if not is_ours:  # another machine was faster
            raise ResourceError(f"{new} is locked already: start again")
        yield new.name


@contextmanager
def only_worker(storage_folder: Path, worker: str) -> Iterator[None]:
    """Locks the name of a worker while the block runs.

    Raises:
        ResourceError: A worker of that name runs already.
    """
    folder = storage_folder / WORKERS_FOLDER
    with _locked(folder / worker) as is_ours:
        if not is_ours:
            raise ResourceError(
                f"a worker called {worker} runs already: it would take this one's jobs; end it, or "
                "start this one with another --worker"
            )
        yield


@contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """Yields whether this process got the lock of a file.

    Raises:
        ResourceError: The file can't be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ResourceError(f"{file} can't be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)

"""Lets one gateway at a time use a storage folder, and gives each machine a unique name.

A lock of the file system ends with the process that holds it, also if that is killed.
"""

import fcntl
import glob
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from totalmap.errors import ConfigError, ResourceError

GATEWAY_LOCK = "gateway.lock"
# Holds a file for each machine, named after it and locked while its gateway runs.
MACHINES_FOLDER = "machines"
WORKERS_FOLDER = "workers"
_HOST_CHARACTERS = 30
_ID_BYTES = 4
# A command that asks whether a gateway runs holds the lock for a moment.
_ASKED_SECONDS = 1.0
_ASK_AGAIN_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningMachine:
    """A machine on which `totalmap serve` runs.

    Attributes:
        name: Its unique name.
        pid: The process ID of `totalmap serve` on that machine.
        since: When it was started, in seconds since 1970, UTC.
        only_work: Whether it only segments, for a gateway on another machine.
        settings_file: The absolute path of its gateway.yaml; None: it has the defaults.
    """

    name: str
    pid: int
    since: float
    only_work: bool
    settings_file: str | None


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
def machine_name(
    storage_folder: Path, settings_file: Path | None = None, *, only_work: bool = False
) -> Iterator[str]:
    """Yields the unique name of this machine among those that use the storage folder now.

    It consists of the host name and a random number, and is the same at each start. Two machines
    with the same host name, or copies of a virtual machine, get different names. While the block
    runs, `running_machines` returns this machine.

    Args:
        storage_folder: Of the gateway.
        settings_file: Its gateway.yaml; None: it has the defaults.
        only_work: As in `RunningMachine`.
    """
    folder = storage_folder / MACHINES_FOLDER
    new = folder / f"{_host()}-{secrets.token_hex(_ID_BYTES)}"
    for file in (*_files_of_this_host(folder), new):
        with _locked(file) as is_ours:
            if is_ours:
                machine = RunningMachine(
                    name=file.name,
                    pid=os.getpid(),
                    since=time.time(),
                    only_work=only_work,
                    settings_file=str(settings_file.resolve()) if settings_file else None,
                )
                _write(file, json.dumps(asdict(machine)))
                yield file.name
                return
    raise ResourceError(f"{new} is locked already: start again")  # another machine was faster


def running_machines(storage_folder: Path) -> Sequence[RunningMachine]:
    """Returns the machines on which `totalmap serve` uses a storage folder now; makes nothing."""
    files = sorted((storage_folder / MACHINES_FOLDER).glob("*"))
    found = [_machine(file) for file in files if _is_locked(file)]
    return [machine for machine in found if machine is not None]


def serving_process(storage_folder: Path) -> RunningMachine:
    """Returns this machine, with the process ID of its `totalmap serve`; makes nothing.

    Raises:
        ConfigError: None runs here.
    """
    for file in _files_of_this_host(storage_folder / MACHINES_FOLDER):
        machine = _machine(file) if _is_locked(file) else None
        if machine is not None and _has_open(machine.pid, file):
            return machine
    raise ConfigError(
        f"no gateway of {storage_folder} runs on this machine under this user: run the command as "
        "the user of the gateway, where it runs"
    )


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
            _lock(descriptor)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Locks a file; waits a moment for a command that only asks.

    Raises:
        BlockingIOError: It is locked.
    """
    give_up_at = time.monotonic() + _ASKED_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_ASK_AGAIN_SECONDS)
        else:
            return


def _is_locked(file: Path) -> bool:
    """Returns whether a process has locked a file; another reading process does not matter."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _machine(file: Path) -> RunningMachine | None:
    """Returns what a machine has written into its locked file; None: nothing yet."""
    with suppress(OSError, ValueError, TypeError):
        return RunningMachine(**json.loads(file.read_text(encoding="ascii")))
    return None


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="ascii")
    except OSError as error:
        raise ResourceError(f"{file} can't be written: {error.strerror}") from error


def _has_open(pid: int, file: Path) -> bool:
    """Returns whether a process of this machine and user has a file open."""
    with suppress(OSError):
        for opened in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if opened.samefile(file):
                    return True
    return False


def _host() -> str:
    return socket.gethostname()[:_HOST_CHARACTERS]


def _files_of_this_host(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob(f"{glob.escape(_host())}-{'[0-9a-f]' * 2 * _ID_BYTES}"))

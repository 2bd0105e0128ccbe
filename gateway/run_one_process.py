"""Runs one process of the gateway, as gateway/supervisor.py starts it: `python -m gateway ROLE`."""

import argparse
import ctypes
import logging
import os
import signal
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from app.argument_parser_base import ArgumentParser
from gateway.config import GatewaySettings, load_gateway_settings, use_gpu
from gateway.config.inherited_settings import read_inherited_settings
from gateway.heartbeat import Heartbeat
from gateway.process_ending import STOP_SIGNALS, Ending, end_signals
from gateway.recent_log import keep_recent_log
from totalmap import log
from totalmap.environment_variables import chosen_threads, prepare_threads
from totalmap.errors import ResourceError, TotalMapError, internal_error
from totalmap.import_without_garbage_collection import no_collection_during_imports
from totalmap.log import get_logger
from totalmap.machine_limits import usable_processors

_PR_SET_PDEATHSIG = 1
_NOT_FOR_OTHERS = 0o077
RECEIVER, WORK = "receiver", "work"


def end_with_parent() -> None:
    """Makes the kernel kill this process when its parent ends (prctl(2)).

    A process without its supervisor would not be watched, and would block the next gateway.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def report_failed_threads() -> None:
    """Logs each thread that fails unexpectedly, without the values that its error quotes."""
    threading.excepthook = _report


def _report(failed: threading.ExceptHookArgs) -> None:
    name = failed.thread.name if failed.thread else ""
    error = failed.exc_value
    if isinstance(error, OSError):  # the disk, the network or the descriptors, and not a defect
        get_logger().warning("thread_failed", thread=name, reason=error.strerror)
    elif isinstance(error, Exception):
        message = str(internal_error(error))
        get_logger().error("thread_failed", thread=name, message=message)


def keep_private(storage_folder: Path) -> None:
    """Makes the storage folder, and all new files of this process and its children, private.

    Raises:
        ResourceError: The folder can't be made.
    """
    keep_files_private()
    try:
        storage_folder.mkdir(parents=True, exist_ok=True)
        found = storage_folder.stat()
        if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & _NOT_FOR_OTHERS:
            storage_folder.chmod(stat.S_IMODE(found.st_mode) & ~_NOT_FOR_OTHERS)
    except OSError as error:
        raise ResourceError(
            f"the storage folder {storage_folder} can't be used: {error.strerror}"
        ) from error


@contextmanager
def stop_signals() -> Iterator[Event]:
    """Yields an event that SIGTERM and SIGINT set; only for the main thread of a process."""
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep_files_private() -> None:
    """Makes all files that this process and its children write readable by their user alone."""
    os.umask(_NOT_FOR_OTHERS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a process of the gateway until it is told to stop; returns its exit status."""
    log.configure()
    report_failed_threads()
    keep_files_private()
    # It writes several lines about each connection that fails, and we log that ourselves.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    role = ""
    try:
        given = _parser().parse_args(arguments)
        role = given.role
        heartbeat = Heartbeat.attach(given.heartbeat)
        if given.heartbeat is not None or given.channel is not None:
            end_with_parent()
        with heartbeat.beating(), end_signals() as ending:
            settings = _settings(given)
            if role != RECEIVER:  # a receiver gets its settings later
                keep_recent_log(settings.storage_folder, given.worker if role == WORK else role)
            _run(given, settings, heartbeat, ending)
    except TotalMapError as error:
        return _failed(role, error)
    except Exception as error:  # its message may quote values of a study
        return _failed(role, internal_error(error))
    return 0


def _settings(given: argparse.Namespace) -> GatewaySettings:
    if given.settings is not None:
        return read_inherited_settings(given.settings)
    return load_gateway_settings(given.config)


def _failed(role: str, error: TotalMapError) -> int:
    kind = type(error).__name__
    log.get_logger().error("process_failed", role=role, kind=kind, message=str(error))
    return error.exit_status


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m gateway")
    parser.add_argument("role", choices=["receive", RECEIVER, "dispatch", WORK, "web"])
    parser.add_argument("-c", "--config", type=Path)
    parser.add_argument("--settings", type=int, help="the descriptor of inherited settings")
    parser.add_argument("--channel", type=int, help="of a receiver: the descriptor of its socket")
    parser.add_argument("--number", type=int, default=0, help="of a receiver")
    parser.add_argument("--heartbeat", help="where to beat (gateway/heartbeat.py)")
    parser.add_argument("--worker", default="worker-1")
    parser.add_argument("--device", default="auto")
    return parser


def _threads(settings: GatewaySettings) -> int | None:
    """Returns the threads of a worker; None: those of its environment, or as many as PyTorch takes.

    work.threads counts more than the environment, and the environment more than an equal share.
    """
    if settings.work.threads is None and chosen_threads() is not None:
        return None
    return settings.work.threads_of_a_worker(usable_processors())


def _run(
    given: argparse.Namespace, settings: GatewaySettings, heartbeat: Heartbeat, ending: Ending
) -> None:
    # Each process imports only what it needs: loading networks takes seconds.
    if given.role == "receive":
        with no_collection_during_imports():
            from gateway.receive.listening_server import Leave
            from gateway.receive.receive_process import receiving

        leave = Leave()
        with receiving(settings, heartbeat, leave):
            ending.wanted.wait()
            leave.wait_until_free(ending.stop)
    elif given.role == RECEIVER:
        with no_collection_during_imports():
            from gateway.receive.serve_handed_over_connections import serve_handed_over

        serve_handed_over(given.channel, given.number)
    elif given.role == "dispatch":
        with no_collection_during_imports():
            from gateway.dispatch.dispatcher import dispatch

        dispatch(settings, heartbeat, ending)
    elif given.role == "web":
        with no_collection_during_imports():
            from gateway.web.server import serve_web

        serve_web(settings, heartbeat, ending.wanted)
    else:
        # Before PyTorch is loaded, which reads both.
        use_gpu(given.device)
        prepare_threads(_threads(settings))
        with no_collection_during_imports():
            from gateway.work.worker import work

        work(settings, given.worker, given.device, heartbeat, ending)

"""`python -m gateway ROLE ...`: one process of the gateway, as gateway/supervisor.py starts it."""

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from app.argument_parser import ArgumentParser
from gateway.config import GatewaySettings, load_gateway_settings
from gateway.heartbeat import Heartbeat
from gateway.process import (
    end_with_parent,
    keep_files_private,
    report_failed_threads,
    stop_signals,
)
from totalmap import log
from totalmap.errors import TotalMapError, internal_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a process of the gateway until it is told to stop; returns its exit status."""
    log.configure()
    report_failed_threads()
    keep_files_private()
    # It writes more than a line about each connection that fails; we say that ourselves.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    role = ""
    try:
        given = _parser().parse_args(arguments)
        role = given.role
        heartbeat = Heartbeat.attach(given.heartbeat)
        if given.heartbeat is not None or given.channel is not None:
            end_with_parent()
        with heartbeat.beating(), stop_signals() as stop:
            _run(given, load_gateway_settings(given.config), heartbeat, stop)
    except TotalMapError as error:
        return _failed(role, error)
    except Exception as error:  # its own message may quote values of a study
        return _failed(role, internal_error(error))
    return 0


def _failed(role: str, error: TotalMapError) -> int:
    kind = type(error).__name__
    log.get_logger().error("process_failed", role=role, kind=kind, message=str(error))
    return error.exit_status


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m gateway")
    parser.add_argument("role", choices=["receive", "receiver", "dispatch", "work", "web"])
    parser.add_argument("-c", "--config", type=Path)
    parser.add_argument("--channel", type=int, help="of a receiver: the descriptor of its socket")
    parser.add_argument("--heartbeat", help="where to beat (gateway/heartbeat.py)")
    parser.add_argument("--worker", default="worker-1")
    parser.add_argument("--device", default="auto")
    return parser


def _run(
    given: argparse.Namespace, settings: GatewaySettings, heartbeat: Heartbeat, stop: Event
) -> None:
    # Each process imports what it needs: networks take seconds, and the receiver needs none.
    if given.role == "receive":
        from gateway.receive.receive_process import receiving

        with receiving(settings, heartbeat):
            stop.wait()
    elif given.role == "receiver":
        from gateway.receive.handed_over_connections import serve_handed_over

        serve_handed_over(given.channel)
    elif given.role == "dispatch":
        from gateway.dispatch.dispatch_process import dispatch

        dispatch(settings, heartbeat, stop)
    elif given.role == "web":
        from gateway.web.server import serve_web

        serve_web(settings, heartbeat, stop)
    else:
        _, _, number = given.device.partition(":")
        if number:
            os.environ["CUDA_VISIBLE_DEVICES"] = number
        from gateway.work.worker import work

        work(settings, given.worker, given.device, heartbeat, stop)

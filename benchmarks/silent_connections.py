"""Measures the seconds until the gateway answers while other senders and clients are silent.

    python -m benchmarks.silent_connections [--output FILE]

64 senders with different titles and addresses take all associations and stop in the middle of a PDU
without closing the connection. Then an image is sent. 128 HTTP clients send a request slowly, or
read no answer, from one address and from 100. Then /metrics, /health and the page are requested.
All settings are the defaults.
"""

import argparse
import logging
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks.temporary_folder_on_disk import disk_folder
from benchmarks.write_report import write_report
from gateway.config import GatewaySettings, ReceiveSection, WebSection
from gateway.receive.receive_process import receiving
from gateway.web.server import running_web
from tests.phantom.study import SeriesSpec, write_series
from tests.servers import LOOPBACK
from tests.unit.gateway.receive.test_silent_senders import (
    SILENT_SENDERS,
    silent_senders,
    status_of_a_sender,
)
from tests.unit.gateway.web.test_server import (
    SLOW_CLIENTS,
    connect_slow_client,
    reads_nothing,
    slow_post,
)

WAIT_SECONDS = 60.0
PATHS = ("/metrics", "/health", "/login")


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    with disk_folder() as folder:
        lines = [_dicom(folder / "dicom"), *_http(folder / "http")]
    table = "\n".join(lines)
    print(table)
    if given.output:
        write_report(
            given.output,
            "Silent senders and clients",
            "benchmarks.silent_connections",
            __doc__,
            table,
        )


def _dicom(folder: Path) -> str:
    image = write_series(folder / "in", 1, SeriesSpec(rows=64, columns=64, n_slices=1)).paths[0]
    ways = ReceiveSection(port=0)
    settings = GatewaySettings(storage_folder=folder / "storage", receive=ways)
    with receiving(settings) as port, silent_senders(port, SILENT_SENDERS):
        start = time.monotonic()
        status = status_of_a_sender(port, image)
        seconds = time.monotonic() - start
    if status:
        raise SystemExit(f"the image was refused with status {status:#x}")
    return f"{SILENT_SENDERS} silent senders: an image is taken after {seconds:.1f} s"


def _http(folder: Path) -> list[str]:
    settings = GatewaySettings(storage_folder=folder, web=WebSection(port=0))
    attacks = [(attack, n) for attack in (slow_post, reads_nothing) for n in (1, 100)]
    with running_web(settings) as port:
        return [_http_line(port, attack, n_addresses) for attack, n_addresses in attacks]


def _http_line(port: int, attack: Callable[[socket.socket], None], n_addresses: int) -> str:
    with ExitStack() as stack:
        for n in range(SLOW_CLIENTS):
            attack(connect_slow_client(port, f"127.0.0.{1 + n % n_addresses}", stack))
        start, cells = time.monotonic(), []
        for path in PATHS:
            address = f"http://{LOOPBACK}:{port}{path}"
            while httpx.get(address, timeout=WAIT_SECONDS).is_server_error and path == "/login":
                pass  # all connections are taken; /health fails, because no process receives
            cells.append(f"{path} after {time.monotonic() - start:.1f} s")
    return f"{SLOW_CLIENTS} x {attack.__name__}, addresses {n_addresses}: {', '.join(cells)}"


if __name__ == "__main__":
    main()

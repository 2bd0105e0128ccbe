"""Measures how many instances are received in a second while other associations are open and idle.

    python -m benchmarks.idle_associations [--instances 600] [--runs 3] [--output FILE]

Modalities and PACS often keep associations open. TotalMAP's receiver, with one process, is
compared with pynetdicom's own server, which stores instances in the same way
(benchmarks/plain_pynetdicom.py) and whose threads poll a thousand times a second for each
association. One storescu sends. Orthanc is left out: it serves four associations at once by
default, and idle ones count.
"""

import argparse
import os
import socket
import statistics
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

from benchmarks.receiving import plain_pynetdicom, send, totalmap_receiver, write_shares
from benchmarks.temporary_folder_on_disk import disk_folder
from benchmarks.write_report import write_report
from tests.servers import LOOPBACK
from tests.unit.gateway.receive.test_silent_senders import association_request

IDLE = (0, 16, 48)
RECEIVERS: Mapping[str, Callable[[Path], AbstractContextManager[int]]] = {
    "TotalMAP, one process": partial(totalmap_receiver, processes=1),
    "pynetdicom, one process": plain_pynetdicom,
}
_ACCEPTED = b"\x02"  # PS3.8 9.3.3: the type of an A-ASSOCIATE-AC PDU


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--instances", type=int, default=600)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    rates: dict[tuple[str, int], list[float]] = {}
    with disk_folder() as folder:
        shares = write_shares(folder, given.instances)
        for _ in range(given.runs):
            for name in RECEIVERS:
                for idle in IDLE:
                    seconds = _seconds(folder, name, idle, shares)
                    rates.setdefault((name, idle), []).append(given.instances / seconds)
    table = "\n".join(_lines(rates, given.instances, given.runs))
    print(table)
    if given.output:
        write_report(
            given.output, "Idle associations", "benchmarks.idle_associations", __doc__, table
        )


def _seconds(folder: Path, name: str, idle: int, shares: list[Path]) -> float:
    with (
        tempfile.TemporaryDirectory(dir=folder) as store,
        RECEIVERS[name](Path(store)) as port,
        ExitStack() as stack,
    ):
        for n in range(idle):
            _open_association(port, n, stack)
        return send(port, [shares])


def _open_association(port: int, number: int, stack: ExitStack) -> None:
    """Opens an association of a sender of its own, in which nothing is sent."""
    connection = stack.enter_context(
        socket.create_connection((LOOPBACK, port), source_address=(f"127.0.1.{number + 1}", 0))
    )
    connection.sendall(association_request(f"IDLE{number}"))
    if connection.recv(1) != _ACCEPTED:
        raise SystemExit(f"association {number} was not accepted")


def _lines(rates: dict[tuple[str, int], list[float]], instances: int, runs: int) -> list[str]:
    ours, plain = RECEIVERS
    lines = [
        f"{os.cpu_count()} cores; {instances} instances of 512 x 512, 1 association that sends; "
        f"median of {runs} runs",
        f"{'instances a second':26}" + "".join(f"{f'{idle} idle':>22}" for idle in IDLE),
    ]
    for name in RECEIVERS:
        cells = [rates[name, idle] for idle in IDLE]
        lines.append(
            f"{name:26}"
            + "".join(
                f"{statistics.median(cell):10.0f}{f'{min(cell):.0f}-{max(cell):.0f}':>12}"
                for cell in cells
            )
        )
    ratios = [
        statistics.median(rates[ours, idle]) / statistics.median(rates[plain, idle])
        for idle in IDLE
    ]
    lines.append(f"{'ratio':26}" + "".join(f"{ratio:9.1f}x{'':12}" for ratio in ratios).rstrip())
    return lines


if __name__ == "__main__":
    main()

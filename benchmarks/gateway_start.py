"""Measures the seconds from the start of a receiver to its first answer, with a large ledger.

    python -m benchmarks.gateway_start [--instances 100000 1000000] [--output FILE]

Each store has studies of 500 instances, each with a row in the ledger and a file. The receiver is a
process of its own; it should answer a C-ECHO within 5 s. The table also has its processor time
until then, which a busy machine changes less, and the time of the check of the whole ledger, which
runs beside the receiver.
"""

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from benchmarks.write_report import write_report
from gateway.store.database import LEDGER_FILE, Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import EndedTransfer, KeptInstance, Ledger
from tests.gateway_process import AE_TITLE, running_gateway
from tests.servers import LOOPBACK, free_port
from tests.serving import patient

STUDY_INSTANCES = 500
BATCH = 5000
_HEADING = (
    "instances on record  first C-ECHO (s)  processor (s)  check of the ledger (s)  ledger (MB)\n"
    "-------------------  ----------------  -------------  -----------------------  -----------"
)
CT = "1.2.840.10008.5.1.4.1.1.2"


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--instances", type=int, nargs="+", default=[500, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where the stores are made; default: temporary")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    rows = []
    for n_instances in given.instances:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            rows.append(_measure(Path(name), n_instances))
    table = "\n".join([_HEADING, *rows])
    print(table)
    if given.output:
        write_report(
            given.output,
            "Start of the gateway",
            "benchmarks.gateway_start",
            __doc__,
            table,
        )


def _measure(folder: Path, n_instances: int) -> str:
    _fill(folder, n_instances)
    port, begun = free_port(), time.monotonic()
    with running_gateway(folder, port) as process:
        _echo(port)
        seconds = time.monotonic() - begun
        processor_seconds = _processor_seconds(process.pid)
    begun = time.monotonic()
    with Database(f"sqlite:///{folder / LEDGER_FILE}") as database:
        database.check()
    check_seconds = time.monotonic() - begun
    size_mb = (folder / LEDGER_FILE).stat().st_size / 1e6
    return (
        f"{n_instances:19,}  {seconds:16.1f}  {processor_seconds:13.1f}  {check_seconds:23.1f}  "
        f"{size_mb:11.0f}"
    )


def _processor_seconds(pid: int) -> float:
    """Returns how long a process has computed (proc_pid_stat of Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _fill(folder: Path, n_instances: int) -> None:
    storage = Storage(folder)
    with Database(f"sqlite:///{folder / LEDGER_FILE}") as database:
        ledger = Ledger(database)
        for start in range(0, n_instances, BATCH):
            batch = [*_instances(start, min(start + BATCH, n_instances))]
            for instance in batch:
                path = storage.path(instance)
                path.parent.mkdir(exist_ok=True)
                path.touch()
            ledger.add(batch)
            for transfer in {instance.transfer for instance in batch}:
                ledger.end_transfer(EndedTransfer(transfer=transfer, ended_at=1.7e9, is_whole=True))


def _instances(start: int, stop: int) -> Iterator[KeptInstance]:
    for number in range(start, stop):
        study = f"2.25.{10**30 + number // STUDY_INSTANCES}"
        yield KeptInstance(
            sop_instance_uid=f"2.25.{10**35 + number}",
            sha256=hashlib.sha256(str(number).encode()).hexdigest(),
            sop_class_uid=CT,
            study_instance_uid=study,
            series_instance_uid=f"{study}.1",
            size_bytes=0,
            sender="CT1",
            transfer=study,
            received_at=1.7e9 + number,
        )


def _echo(port: int) -> None:
    entity = patient(AE("CT1"))
    entity.add_requested_context(Verification)
    association = entity.associate(LOOPBACK, port, ae_title=AE_TITLE)
    status = association.send_c_echo()
    association.release()
    if status.Status != 0:
        raise SystemExit(f"the C-ECHO was answered with {status.Status:#06x}")


if __name__ == "__main__":
    main()

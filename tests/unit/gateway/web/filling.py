"""A gateway with studies, jobs and deliveries in many states, filled as its own processes do."""

import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from PIL import Image
from pydicom.uid import generate_uid

from gateway.config import GatewaySettings
from gateway.receive.intake import Intake, ReceivedFile
from gateway.store.database import LEDGER_FILE, Database, open_database
from gateway.store.deliveries import DeliveryList
from gateway.store.file_storage import Storage
from gateway.store.job import NO_DOUBT, Destinations, Judgement, KeptResult, NewJob
from gateway.store.jobs import JobList
from gateway.store.ledger import EndedTransfer, GrowingStudy, KeptInstance, Ledger
from gateway.store.workers import WorkerList
from tests.ledgers import write_empty_ledger

STATUS = {
    "structures": [
        {
            "folder": "",
            "name": "kidney_left",
            "volume_ml": 102.441,
            "flags": ["incomplete", "several_components"],
        },
        {"folder": "", "name": "spleen", "volume_ml": 143.67, "flags": []},
    ]
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A gateway's database and storage, open for tests."""

    settings: GatewaySettings
    database: Database
    storage: Storage
    ledger: Ledger
    jobs: JobList
    deliveries: DeliveryList
    worker_list: WorkerList

    def receive(self, source: Path, **attributes: Any) -> str:
        """Takes one instance with other attributes; returns its Study Instance UID."""
        header = pydicom.dcmread(source)
        header.SpecificCharacterSet = "ISO_IR 192"
        header.StudyInstanceUID = generate_uid()
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        for keyword, value in attributes.items():
            setattr(header, keyword, value)
        path = self.storage.incoming / generate_uid()
        header.save_as(path)
        with closing(Intake(self.storage, self.ledger, keep_free_gb=0.0)) as intake:
            intake.take(ReceivedFile(path=path, sender="CT1", transfer=generate_uid()))
        return str(header.StudyInstanceUID)

    def receive_files(self, paths: Iterable[Path]) -> str:
        """Takes files as they are; returns the Study Instance UID of the last."""
        transfer, uid = generate_uid(), ""
        with closing(Intake(self.storage, self.ledger, keep_free_gb=0.0)) as intake:
            for source in paths:
                path = self.storage.incoming / generate_uid()
                shutil.copy(source, path)
                kept: KeptInstance = intake.take(
                    ReceivedFile(path=path, sender="CT1", transfer=transfer)
                )
                uid = kept.study_instance_uid
        ended = EndedTransfer(transfer=transfer, ended_at=time.time(), is_whole=True)
        self.ledger.end_transfer(ended)
        return uid

    def open_job(
        self, study: str, *, is_urgent: bool = False, destinations: tuple[str, ...] = ("pacs",)
    ) -> str:
        """Passes a study on; returns the id of its job."""
        job = new_job(study, is_urgent=is_urgent, destinations=destinations)
        growing = GrowingStudy(
            study_instance_uid=study,
            n_instances=self._n_instances(study),
            last_received_at=time.time(),
            transfers_ended_at=None,
        )
        self.jobs.open(growing, [job], "test")
        return job.job_id

    def begin(self, job_id: str, worker: str = "box-1") -> None:
        """Has a worker begin a job."""
        job = self.jobs.job(job_id)
        assert job is not None
        assert self.jobs.begin(job_id, job.run, worker) is not None

    def succeed(
        self, job_id: str, output: Path | None = None, judgement: Judgement = NO_DOUBT
    ) -> None:
        """Ends a job with results: those of a real run, or small ones."""
        self.begin(job_id)
        folder = self.storage.output_folder(job_id)
        if output is None:
            write_output(folder)
        else:
            shutil.copytree(output, folder)
        if judgement.is_held:
            (folder / "results").rename(folder / "rejected")
        names = sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and path.parent != folder
        )
        results = [
            KeptResult(
                path=name,
                kind="seg" if name.endswith("/seg.dcm") else "other",
                sop_instance_uid=None,
            )
            for name in names
        ]
        assert self.jobs.succeed(job_id, results, judgement=judgement)

    def die(self, job_id: str, reason: str) -> None:
        """Ends a job that can't succeed."""
        self.begin(job_id)
        assert self.jobs.die(job_id, reason)

    def state(self, job_id: str) -> str:
        """Returns the state of a job."""
        job = self.jobs.job(job_id)
        assert job is not None
        return job.state.value

    def _n_instances(self, study: str) -> int:
        return sum(1 for _ in self.ledger.instances(study))


def open_filled(settings: GatewaySettings) -> Filled:
    """Returns an empty gateway; its database is to be closed."""
    folder = settings.storage_folder
    if not settings.ledger_url and not (folder / LEDGER_FILE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_empty_ledger(folder)
    database = open_database(settings)
    return Filled(
        settings=settings,
        database=database,
        storage=Storage(settings.storage_folder),
        ledger=Ledger(database),
        jobs=JobList(database),
        deliveries=DeliveryList(database),
        worker_list=WorkerList(database),
    )


def new_job(
    study: str, *, is_urgent: bool = False, destinations: tuple[str, ...] = ("pacs",)
) -> NewJob:
    """A job as a rule makes it."""
    digest = hashlib.sha256(f"{study} {time.time_ns()}".encode()).hexdigest()
    return NewJob(
        job_id=digest,
        study_instance_uid=study,
        rule="ct",
        sender="CT1",
        content_digest=digest,
        content_until=time.time(),
        n_images=40,
        is_urgent=is_urgent,
        application={},
        destinations=Destinations.for_every_verdict(*destinations),
    )


def write_output(folder: Path, status: Mapping[str, Any] = STATUS) -> None:
    """Writes what the application leaves in its output folder, in small."""
    (folder / "results").mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "results" / "seg.dcm").write_bytes(b"a segmentation")
    (folder / "results" / "report.html").write_text("<style>p {}</style><p>report</p>")
    Image.new("RGB", (640, 480), "navy").save(folder / "results" / "preview.png")

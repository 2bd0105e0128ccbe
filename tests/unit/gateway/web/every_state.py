"""Fills a gateway with studies, jobs, deliveries, workers and conflicts in every state.

All names and errors in it begin with `data`, so that a test can tell them from texts of the page.
"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pydicom
from sqlalchemy import update

from gateway.config import DestinationSection, GatewaySettings, Role, RuleSection
from gateway.conflict_detection import ConflictDetector
from gateway.dispatch.study_indexing import StudyIndexing
from gateway.recent_log import RecentLog
from gateway.store.accounts import AccountList
from gateway.store.clock_record import ClockReading, ClockRecord
from gateway.store.conflicts import ConflictList
from gateway.store.decision import DecisionKind
from gateway.store.destination_states import DestinationStates
from gateway.store.job import Judgement
from gateway.store.schema import WORKERS
from tests.accounts import add_account
from tests.servers import LOOPBACK
from tests.unit.gateway.store.reviewed_results import ReviewedResults
from tests.unit.gateway.web.filling import STATUS, Filled, write_output
from totalmap.finding import Verdict
from totalmap.limitation_words import box_edge_sentence, incomplete_sentence
from totalmap.structures import Face
from totalmap.texts.catalogue import Joined, Message, PairName
from totalmap.texts.stored_message import stored_message

AN_HOUR = 3600.0
# Attributes of every instance that a page shows.
DATA = {
    "PatientID": "data-id",
    "StudyDescription": "data",
    "SeriesDescription": "data",
    "AccessionNumber": "data-1",
    "StudyDate": "20261126",
    "BodyPartExamined": "data",
}
DESTINATIONS = ("data-answers", "data-away", "data-never", "data-old")
RULES = (
    RuleSection(name="data-fitting"),
    RuleSection(
        name="data-other",
        senders=("data-a", "data-b"),
        modalities=("MR",),
        body_parts=("data-part",),
        descriptions=("data-x", "data-y"),
        min_instances=5,
        urgent=True,
        destinations=("sender", "data-away"),
        review_destinations=(),
        reject_destinations=("data-old",),
        application={"segmentation": {"variant": "fast"}},
    ),
    RuleSection(name="data-nowhere", destinations=(), review_destinations=("data-away",)),
)
PAIRS = Joined((PairName("kidney_left"), PairName("lung_upper_lobe_left")), with_and=True)
SENTENCES = (
    ("reject", Message("finding.MIRRORED", swapped=2, of=3, names=PAIRS)),
    ("review", incomplete_sentence("liver", (Face.LEFT, Face.SUPERIOR))),
    ("review", box_edge_sentence("spleen", (Face.RIGHT,))),
    ("information", Message("finding.CHILD", years=16)),
)
TILT = Message("warning.of_series", folder="data-a", warning=Message("warning.tilt", degrees=3.0))


def settings_with_everything(settings: GatewaySettings) -> GatewaySettings:
    """Returns settings with destinations, rules, and a disk that is too full."""
    dicom = {"ae_title": "DATA", "address": LOOPBACK}
    found = [{"name": name, "dicom": dicom} for name in DESTINATIONS]
    receive = settings.receive.model_copy(update={"keep_free_gb": 1e5, "port": 1})
    return settings.model_copy(
        update={
            "destinations": tuple(map(DestinationSection.model_validate, found)),
            "rules": RULES,
            "receive": receive,
        }
    )


def status(severities: Iterable[str], folder: str = "") -> dict[str, Any]:
    """Returns a status.json with findings of some severities, and with a warning."""
    findings = [
        {
            "folder": folder,
            "code": "DATA",
            "severity": severity,
            "sentence": sentence,
            "message": stored_message(sentence),
        }
        for severity, sentence in SENTENCES
        if severity in severities
    ]
    structures = [{**structure, "folder": folder} for structure in STATUS["structures"]]
    return {
        "structures": structures,
        "warnings": [TILT, "data-warning"],
        "warning_messages": [stored_message(TILT), None],
        "quality": {"findings": findings},
    }


class EveryState:
    """A gateway in which everything has happened.

    Attributes:
        studies: All studies, by what has happened to them.
        jobs: All jobs, by their states.
    """

    def __init__(self, gateway: Filled, instance: Path) -> None:
        self.gateway = gateway
        self.instance = instance
        self.studies: dict[str, str] = {}
        self.jobs: dict[str, str] = {}
        self._fill_jobs()
        self._fill_results()
        self._fill_decisions()
        self._fill_deliveries()
        self._fill_conflicts()
        self._fill_machine()

    def _receive(self, patient: str, **attributes: Any) -> str:
        return self.gateway.receive(self.instance, **DATA | attributes, PatientName=patient)

    def _job(self, name: str, **choices: Any) -> str:
        self.studies[name] = self._receive(f"data-{name}")
        self.jobs[name] = self.gateway.open_job(self.studies[name], **choices)
        return self.jobs[name]

    def _fill_jobs(self) -> None:
        jobs, soon = self.gateway.jobs, time.time() + AN_HOUR
        self._job("waiting")
        self._job("urgent", is_urgent=True)
        self.gateway.begin(self._job("begun"))
        self.gateway.begin(self._job("running"))
        jobs.progress(self.jobs["running"], "read_study", 12, 40)
        self.gateway.begin(self._job("writing"))
        jobs.progress(self.jobs["writing"], "write_seg_labelmap")
        for name in ("postponed", "dead"):
            self.gateway.begin(self._job(name))
            assert jobs.postpone(self.jobs[name], "data-error", soon)
        self.gateway.die(self.jobs["dead"], "data-error")
        assert jobs.cancel(self._job("cancelled"), "data-user")
        self._job("superseded")
        self.jobs["newer"] = self.gateway.open_job(self.studies["superseded"])
        for number in range(10):
            self._receive(f"data-arriving-{number}")

    def _fill_results(self) -> None:
        review = Judgement(verdict=Verdict.REVIEW, reasons=("unused",))
        held = Judgement(verdict=Verdict.REJECT, reasons=("unused",), is_held=True)
        self.gateway.succeed(self._job("done"))
        self._succeed("review", status(["review", "information"], "data-series"), review)
        self._succeed("held", status(["reject", "review"]), held)
        self.studies["nameless"] = self._receive("")
        self.gateway.open_job(self.studies["nameless"])

    def _fill_decisions(self) -> None:
        review = Judgement(verdict=Verdict.REVIEW, reasons=("unused",))
        about = {"findings": ("HU", "DATA"), "scanner": "data", "version": "data-1"}
        for kind in (DecisionKind.ACCEPTED, DecisionKind.REJECTED, DecisionKind.COMMENTED):
            self._succeed(kind, status(["review"]), review)
            ReviewedResults(self.gateway.database).decide(
                self.jobs[kind],
                kind,
                at=time.time(),
                who="data-user",
                structures=("spleen",),
                **about,
            )

    def _succeed(self, name: str, content: dict[str, Any], judgement: Judgement) -> None:
        output = self.gateway.settings.storage_folder.parent / name
        write_output(output, content)
        (output / "results" / "data").mkdir()
        for number in range(25):
            (output / "results" / "data" / f"data-{number}.dcm").write_bytes(bytes(2000))
        self.gateway.succeed(self._job(name), output, judgement)

    def _fill_deliveries(self) -> None:
        deliveries = self.gateway.deliveries
        names = ("data-delivered", "data-committed", "data-dead", "data-failing", "data-waiting")
        self.gateway.succeed(self._job("sent", destinations=names))
        found = {one.destination: one for one in deliveries.of_job(self.jobs["sent"])}
        assert deliveries.delivered(found["data-delivered"])
        assert deliveries.delivered(found["data-committed"], "1.2.3")
        committed = deliveries.delivery(self.jobs["sent"], "data-committed")
        assert committed
        assert deliveries.commit(committed)
        assert deliveries.die(found["data-dead"], "data-error")
        assert deliveries.postpone(found["data-failing"], "data-error", time.time() + AN_HOUR)

    def _fill_conflicts(self) -> None:
        conflicts = ConflictList(self.gateway.database)
        for name in ("held-1", "decided", "rejected", *(f"held-{n}" for n in range(2, 12))):
            study = self.studies[name] = self._contradicted(name)
            (found,) = conflicts.of_study(study)
            if name == "decided":
                assert conflicts.take_new(found.conflict_id, found.n_instances, "data-user", ())
            if name == "rejected":
                assert conflicts.reject_study(found.conflict_id, found.n_instances, "data-user")

    def _contradicted(self, name: str) -> str:
        """Has a study come again with another patient, after its result was delivered."""
        header = pydicom.dcmread(self.instance, stop_before_pixels=True)
        uids = {
            "StudyInstanceUID": pydicom.uid.generate_uid(),
            "SOPInstanceUID": header.SOPInstanceUID,
        }
        study = self._receive(f"data-{name}", **uids)
        waiting, job = (self.gateway.open_job(study) for _ in range(2))
        self.gateway.succeed(job, judgement=Judgement())
        delivery = self.gateway.deliveries.delivery(job, "pacs")
        assert delivery
        assert self.gateway.deliveries.delivered(delivery)
        self._receive("data-new", **uids, PatientID="data-2")
        conflicts = ConflictList(self.gateway.database)
        ConflictDetector(self.gateway.ledger, conflicts, self.gateway.storage).detect(study)
        self.jobs[name] = waiting
        return study

    def _fill_machine(self) -> None:
        database, now = self.gateway.database, time.time()
        StudyIndexing(self.gateway.storage, database).apply()
        states = DestinationStates(database)
        states.save("data-answers", None, now - 5)
        states.save("data-away", "data-error", now - 5)
        states.save("data-old", None, now - AN_HOUR)
        self.gateway.worker_list.see("data-busy", "cpu", self.jobs["running"])
        self.gateway.worker_list.see("data-idle", "cpu", None)
        self.gateway.worker_list.see("data-lost", "cpu", None)
        with database.transaction() as connection:
            lost = WORKERS.c.worker == "data-lost"
            connection.execute(update(WORKERS).where(lost).values(seen_at=now - AN_HOUR))
        self.gateway.worker_list.pause("data-user", is_paused=True)
        self.gateway.worker_list.drain("data-user")
        clock = ClockReading(boot_id="", boot_seconds=0.0, wall_seconds=now, jump_seconds=-AN_HOUR)
        ClockRecord(database).save(clock, -AN_HOUR)
        log = RecentLog(self.gateway.settings.storage_folder, "receive")
        log.keep({"event": "sender_rejected", "level": "warning", "timestamp": "2026-12-01T10:00Z"})
        for role in Role:
            add_account(database, f"data-{role}", role)
        AccountList(database).log_in_provided("data subject", "data-provided", Role.VIEWER)

"""Tests the DICOM objects of decisions: an archive that hides what notes name shows the right ones.

The archive is a model of IHE IOCM: it never shows again what a note has rejected.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    KeyObjectSelectionDocumentStorage,
    SegmentationStorage,
)

from gateway.deliver.decision_files import DecisionFiles, JobResults
from gateway.store.database import Database
from gateway.store.decision import DecisionKind, NewDecision
from gateway.store.decisions import DecisionList
from gateway.store.deliveries import Delivery, DeliveryList
from gateway.store.file_storage import SETTINGS_NAME, Storage
from gateway.store.job import Destinations, Judgement, KeptResult
from gateway.store.jobs import JobList
from gateway.work.application_settings import write_overlay
from tests.unit.gateway.store.test_jobs import NEW, STUDY
from tests.unit.writers.small_results import small_results
from totalmap.default_locations import DEFAULT_SETTINGS
from totalmap.errors import ResourceError
from totalmap.finding import Verdict

JOB_ID = NEW.job_id
REVIEW = Judgement(verdict=Verdict.REVIEW, reasons=("The spleen is small.",))
ACCEPTED, REJECTED, WITHDRAWN = (
    DecisionKind.ACCEPTED,
    DecisionKind.REJECTED,
    DecisionKind.WITHDRAWN,
)


@dataclass
class Archive:
    """An archive that hides for good what notes of rejection name."""

    stored: dict[str, Dataset] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    notes: list[Dataset] = field(default_factory=list)

    def take(self, files: Sequence[Path]) -> None:
        for dataset in map(pydicom.dcmread, files):
            if dataset.SOPClassUID == KeyObjectSelectionDocumentStorage:
                self.notes.append(dataset)
                self.hidden |= named_by(dataset)
            else:
                self.stored[str(dataset.SOPInstanceUID)] = dataset

    @property
    def shown(self) -> list[Dataset]:
        return [each for uid, each in self.stored.items() if uid not in self.hidden]

    @property
    def shown_classes(self) -> list[str]:
        return sorted(each.SOPClassUID.name for each in self.shown)


def named_by(note: Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """A job with results about which a person decides, for a destination that wants some kinds."""

    storage: Storage
    database: Database
    results: JobResults
    archive: Archive

    @property
    def decisions(self) -> DecisionList:
        return DecisionList(self.database)

    @property
    def files(self) -> DecisionFiles:
        return DecisionFiles(self.storage, self.decisions)

    def decide(self, kind: DecisionKind, *, organization: str | None = None) -> Delivery | None:
        """Decides, and has the archive take what the decision delivers to `pacs`."""
        before = self.decisions.of_job(JOB_ID)
        new = NewDecision(
            form=f"form{len(before)}",
            job_id=JOB_ID,
            run=1,
            kind=kind,
            who="Dr. Eva Müller",
            reason="The spleen leaks.",
            seen=before[-1].decision_id if before else 0,
            organization=organization,
        )
        assert self.decisions.decide(new)
        last = self.decisions.of_job(JOB_ID)[-1].decision_id
        delivery = DeliveryList(self.database).delivery(JOB_ID, "pacs", last)
        if delivery is not None:
            self.archive.take(self.files.of(delivery, self.results))
        return delivery


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return small_results(tmp_path_factory.mktemp("results"), "seg", "sr")


def reviewed(
    storage: Storage, database: Database, written: Sequence[Path], *wanted: str
) -> Reviewed:
    jobs = JobList(database)
    jobs.open(STUDY, [replace(NEW, destinations=Destinations.for_every_verdict("pacs"))], "")
    jobs.begin(JOB_ID, 1, "host-1")
    folder = storage.output_folder(JOB_ID) / "results"
    folder.mkdir(parents=True)
    results = []
    for path, kind in zip(written, ("seg", "sr"), strict=True):
        shutil.copy(path, folder / path.name)
        uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        results.append(KeptResult(path=f"results/{path.name}", kind=kind, sop_instance_uid=uid))
    write_overlay(DEFAULT_SETTINGS, {}, "cpu", storage.job_folder(JOB_ID) / SETTINGS_NAME)
    jobs.succeed(JOB_ID, results, judgement=REVIEW)
    chosen = [result for result in results if result.kind in wanted]
    archive = Archive()
    archive.take([storage.output_folder(JOB_ID) / result.path for result in chosen])
    return Reviewed(
        storage=storage,
        database=database,
        results=JobResults(job_id=JOB_ID, every=results, wanted=chosen),
        archive=archive,
    )


@pytest.fixture
def case(storage: Storage, database: Database, written: list[Path]) -> Reviewed:
    return reviewed(storage, database, written, "seg", "sr")


def test_a_rejection_hides_all_results_and_names_person_and_reason(case: Reviewed) -> None:
    case.decide(REJECTED)
    assert case.archive.shown == []
    (note,) = case.archive.notes
    assert "Dr. Eva Müller" in str(note)
    texts = [item.TextValue for item in note.ContentSequence if "TextValue" in item]
    assert any("The spleen leaks." in text for text in texts)


def test_a_note_names_only_what_the_destination_has(
    storage: Storage, database: Database, written: list[Path]
) -> None:
    case = reviewed(storage, database, written, "seg")
    case.decide(REJECTED)
    assert case.archive.hidden == {case.results.wanted[0].sop_instance_uid}


def test_a_withdrawn_rejection_shows_copies_that_refer_to_each_other(case: Reviewed) -> None:
    case.decide(REJECTED)
    case.decide(WITHDRAWN)
    assert case.archive.shown_classes == sorted(
        [Comprehensive3DSRStorage.name, SegmentationStorage.name]
    )
    text = "".join(map(str, case.archive.shown))
    assert not [uid for uid in case.archive.hidden if uid in text], "a copy refers to a hidden one"
    seg, report = sorted(case.archive.shown, key=lambda each: str(each.Modality))
    assert str(seg.SOPInstanceUID) in str(report)


def test_a_verified_report_is_hidden_when_its_acceptance_is_withdrawn(case: Reviewed) -> None:
    before = case.archive.shown_classes
    case.decide(ACCEPTED, organization="General Hospital")
    assert case.archive.shown_classes.count(Comprehensive3DSRStorage.name) == 2
    verified = [each for each in case.archive.shown if each.get("VerificationFlag") == "VERIFIED"]
    assert len(verified) == 1
    case.decide(WITHDRAWN)
    assert case.archive.shown_classes == before


def test_every_series_of_decisions_leaves_what_the_last_one_says(case: Reviewed) -> None:
    for _ in range(2):
        case.decide(ACCEPTED, organization="General Hospital")
        case.decide(WITHDRAWN)
        case.decide(REJECTED)
        assert case.archive.shown == []
        case.decide(WITHDRAWN)
        assert len(case.archive.shown) == 2
    case.decide(ACCEPTED, organization="General Hospital")
    assert len(case.archive.shown) == 3
    (verified,) = (each for each in case.archive.shown if each.get("VerifyingObserverSequence"))
    predecessor = str(verified.PredecessorDocumentsSequence)
    shown = {str(each.SOPInstanceUID) for each in case.archive.shown}
    assert any(uid in predecessor for uid in shown), "the predecessor is the present copy"


def test_objects_that_a_crash_has_lost_are_written_with_the_same_content(case: Reviewed) -> None:
    first = case.decide(REJECTED)
    second = case.decide(WITHDRAWN)
    folder = case.storage.job_folder(JOB_ID) / "decisions"
    before = {path.name: path.read_bytes() for path in folder.rglob("*.dcm")}
    shutil.rmtree(folder)
    for delivery in (second, first):
        assert delivery is not None
        case.files.of(delivery, case.results)
    assert {path.name: path.read_bytes() for path in folder.rglob("*.dcm")} == before


def test_an_acceptance_of_results_without_a_report_delivers_nothing(case: Reviewed) -> None:
    assert case.decide(ACCEPTED) is None


def test_a_decision_about_earlier_results_is_not_delivered(case: Reviewed) -> None:
    delivery = case.decide(REJECTED)
    assert delivery is not None
    with pytest.raises(ResourceError, match="earlier results"):
        case.files.of(replace(delivery, decision_id=7), case.results)

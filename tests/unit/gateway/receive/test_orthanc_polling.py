"""Tests polling of a real Orthanc from Debian, also with restarts and faults."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from signal import SIGTERM

import httpx
import pydicom
import pytest
from pydantic import HttpUrl
from pydicom.uid import UID, generate_uid

from gateway.config import GatewaySettings, OrthancSection, RetentionSection
from gateway.receive.intake import Intake
from gateway.receive.orthanc_polling import PAGE, polling_orthanc
from gateway.retention.retention import Retention
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.jobs import JobList
from gateway.store.ledger import Ledger
from tests.disk import small_disk
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series, write_study
from tests.unit.gateway.receive.polled_orthanc import Archive, Recorded, wait_for_the_next_second
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until
from totalmap.errors import ConfigError, ResourceError

SMALL = SeriesSpec(rows=16, columns=16, n_slices=6)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    one = Archive(tmp_path / "orthanc")
    with one.running():
        yield one


@pytest.fixture
def recorded(
    archive: Archive, intake: Intake, storage: Storage, ledger: Ledger, database: Database
) -> Iterator[Recorded]:
    with closing(Recorded(archive, intake, storage, ledger, database)) as one:
        yield one


@pytest.fixture
def small_series(tmp_path: Path) -> WrittenSeries:
    return write_series(tmp_path / "series", 1, SMALL)


def kept(ledger: Ledger) -> set[str]:
    return {instance.sop_instance_uid for instance in ledger.instances()}


def is_whole(ledger: Ledger) -> bool:
    return all(study.transfers_ended_at is not None for study in ledger.growing_studies())


def has(ledger: Ledger, *uids: str) -> Callable[[], bool]:
    return lambda: kept(ledger) == set(uids) and is_whole(ledger)


def test_polling_takes_a_study_from_orthanc_with_the_series_of_the_wanted_modalities(
    archive: Archive,
    intake: Intake,
    storage: Storage,
    ledger: Ledger,
    database: Database,
    tmp_path: Path,
) -> None:
    study = write_study(tmp_path / "study", 2, size=32, n_slices=6)
    images = [path for path in study.folder.rglob("*.dcm") if path != study.dose_report]
    archive.store(*images, study.dose_report)
    settings = OrthancSection(url=HttpUrl(archive.url), poll_seconds=0.1)
    sent = {pydicom.dcmread(image).SOPInstanceUID: image.read_bytes() for image in images}
    with polling_orthanc(settings, intake, storage, ledger, database):
        wait_until(has(ledger, *sent))
    for instance in ledger.instances():
        assert storage.path(instance).read_bytes() == sent[UID(instance.sop_instance_uid)]
        assert instance.sender == "ORTHANC"
    assert not list(storage.incoming.iterdir())


def test_polling_takes_only_stable_studies_from_orthanc(
    tmp_path: Path,
    intake: Intake,
    storage: Storage,
    ledger: Ledger,
    database: Database,
    small_series: WrittenSeries,
) -> None:
    archive = Archive(tmp_path / "orthanc", StableAge=NEVER_SECONDS)
    with closing(Recorded(archive, intake, storage, ledger, database)) as recorded:
        with archive.running(SIGTERM):
            archive.store(*small_series.paths[:3])
            recorded.poll()
            assert not kept(ledger)
            archive.store(*small_series.paths[3:])
        with archive.running():  # whatever it has when it starts is stable
            wait_until(has(ledger, *small_series.sop_uids), act=recorded.poll)


def test_polling_of_orthanc_fetches_only_instances_that_were_added_later(
    recorded: Recorded,
    archive: Archive,
    ledger: Ledger,
    small_series: WrittenSeries,
    tmp_path: Path,
) -> None:
    archive.store(*small_series.paths)
    wait_until(has(ledger, *small_series.sop_uids), act=recorded.poll)
    uid = grow(archive, small_series, tmp_path / "later")
    wait_until(has(ledger, *small_series.sop_uids, uid), act=recorded.poll)
    assert len(recorded.fetched) == len(small_series.paths) + 1


def grow(archive: Archive, study: WrittenSeries, file: Path) -> str:
    """Stores one more instance of a study, a second later, and returns its UID."""
    dataset = pydicom.dcmread(study.paths[0])
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.save_as(file)
    wait_for_the_next_second(archive)
    archive.store(file)
    return str(dataset.SOPInstanceUID)


def test_an_identical_re_send_and_an_idle_orthanc_cause_no_fetch(
    recorded: Recorded, archive: Archive, ledger: Ledger, small_series: WrittenSeries
) -> None:
    archive.store(*small_series.paths)
    wait_until(has(ledger, *small_series.sop_uids), act=recorded.poll)
    recorded.poll()
    fetched = recorded.fetched
    archive.store(*small_series.paths)
    for _ in range(3):
        recorded.asked.clear()
        recorded.poll()
        assert not recorded.fetched
    assert recorded.asked == ["/changes"]
    assert len(fetched) == len(small_series.paths)


def test_a_restarted_gateway_fetches_only_missing_instances_from_orthanc(
    archive: Archive,
    intake: Intake,
    storage: Storage,
    ledger: Ledger,
    database: Database,
    small_series: WrittenSeries,
) -> None:
    archive.store(*small_series.paths)
    with closing(Recorded(archive, intake, storage, ledger, database, stop_after=2)) as first:
        wait_until(first.stop.is_set, act=first.poll)
    assert len(kept(ledger)) == 2
    assert not is_whole(ledger)
    with closing(Recorded(archive, intake, storage, ledger, database)) as second:
        wait_until(lambda: kept(ledger) == set(small_series.sop_uids), act=second.poll)
        assert len(second.fetched) == len(small_series.paths) - 2
    with closing(Recorded(archive, intake, storage, ledger, database)) as third:
        third.poll()
        assert "/changes" in third.asked
        assert not third.fetched


def test_polling_of_orthanc_leaves_out_studies_before_the_first_poll_unless_they_grow(
    archive: Archive,
    intake: Intake,
    storage: Storage,
    ledger: Ledger,
    database: Database,
    small_series: WrittenSeries,
    tmp_path: Path,
) -> None:
    archive.store(*small_series.paths)
    wait_for_the_next_second(archive)
    with closing(Recorded(archive, intake, storage, ledger, database, since_days=0)) as first:
        wait_until(lambda: first.asked[-1:] == ["/changes"], act=first.poll)
        assert set(first.asked) == {"/changes", "/studies"}, "nothing is asked about it"
    other = write_series(tmp_path / "other", 2, SMALL)
    archive.store(*other.paths)
    wait_for_the_next_second(archive)  # and only then the gateway starts again
    with closing(Recorded(archive, intake, storage, ledger, database, since_days=0)) as second:
        wait_until(has(ledger, *other.sop_uids), act=second.poll)
        uid = grow(archive, small_series, tmp_path / "later")
        wait_until(has(ledger, *other.sop_uids, *small_series.sop_uids, uid), act=second.poll)


def test_polling_of_orthanc_leaves_out_a_study_deleted_by_retention_unless_it_grows(
    archive: Archive,
    intake: Intake,
    storage: Storage,
    ledger: Ledger,
    database: Database,
    small_series: WrittenSeries,
    tmp_path: Path,
) -> None:
    archive.store(*small_series.paths)
    with closing(Recorded(archive, intake, storage, ledger, database)) as first:
        wait_until(has(ledger, *small_series.sop_uids), act=first.poll)
    (study,) = ledger.growing_studies()
    JobList(database).open(study, [], "")
    gateway = GatewaySettings(
        storage_folder=storage.incoming.parent, retention=RetentionSection(sources_days=0)
    )
    Retention(gateway, storage, database).apply()
    assert not kept(ledger)
    with closing(Recorded(archive, intake, storage, ledger, database)) as second:
        second.poll()
        assert second.asked == ["/changes", "/studies"]
        uid = grow(archive, small_series, tmp_path / "later")
        wait_until(has(ledger, *small_series.sop_uids, uid), act=second.poll)


def test_polling_forgets_a_study_that_orthanc_has_deleted(
    recorded: Recorded, archive: Archive, ledger: Ledger, small_series: WrittenSeries
) -> None:
    archive.store(*small_series.paths)
    wait_until(has(ledger, *small_series.sop_uids), act=recorded.poll)
    (study,) = recorded.polled.studies()
    httpx.delete(f"{archive.url}/studies/{study}", timeout=WAIT_SECONDS).raise_for_status()
    archive.store(write_series(archive.files.parent / "other", 2, SMALL).paths[0])
    recorded.poll()
    assert study not in recorded.polled.studies()


def test_polling_of_the_archive_goes_on_after_orthanc_restarts(
    tmp_path: Path,
    intake: Intake,
    storage: Storage,
    ledger: Ledger,
    database: Database,
    small_series: WrittenSeries,
) -> None:
    archive = Archive(tmp_path / "orthanc")
    with closing(Recorded(archive, intake, storage, ledger, database, stop_after=2)) as recorded:
        with archive.running(SIGTERM):
            archive.store(*small_series.paths)
            wait_until(recorded.stop.is_set, act=recorded.poll)
        assert len(kept(ledger)) == 2
        recorded.stop.clear()
        with pytest.raises(ResourceError, match="does not answer"):
            recorded.poll()
        with archive.running():
            wait_until(has(ledger, *small_series.sop_uids), act=recorded.poll)
        assert len(recorded.fetched) == len(small_series.paths)


def test_a_failure_to_poll_orthanc_is_logged_once(
    tmp_path: Path,
    intake: Intake,
    storage: Storage,
    ledger: Ledger,
    database: Database,
    small_series: WrittenSeries,
    capsys: pytest.CaptureFixture[str],
) -> None:
    users = {"AuthenticationEnabled": True, "RegisteredUsers": {"gateway": "geheim"}}
    archive = Archive(tmp_path / "orthanc", **users)
    password = tmp_path / "password"
    password.write_text("wrong\n")
    settings = OrthancSection(
        url=HttpUrl(archive.url), user="gateway", password_file=password, poll_seconds=0.02
    )
    said = ""

    def has_said(what: str) -> Callable[[], bool]:
        def look() -> bool:
            nonlocal said
            said += capsys.readouterr().out
            return what in said

        return look

    with polling_orthanc(settings, intake, storage, ledger, database):
        wait_until(has_said("does not answer"))
        with archive.running():
            wait_until(has_said("HTTP 401"))
    assert said.count("does not answer") <= 2, "before and after"
    assert said.count("HTTP 401") == 1
    assert "wrong" not in said
    password.write_text("geheim\n")
    with archive.running(), polling_orthanc(settings, intake, storage, ledger, database):
        client = httpx.Client(
            base_url=archive.url,
            auth=("gateway", "geheim"),
            trust_env=False,
            timeout=WAIT_SECONDS,
        )
        with client:
            client.post("/instances", content=small_series.paths[0].read_bytes())
        wait_until(has(ledger, small_series.sop_uids[0]))


def test_broken_files_in_orthanc_do_not_delay_the_polling_of_other_instances(
    recorded: Recorded,
    archive: Archive,
    ledger: Ledger,
    small_series: WrittenSeries,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that is not DICOM any more is refused for good; one that is not there may come back."""
    archive.store(*small_series.paths)
    spoilt, lost, *_ = [path for path in archive.files.rglob("*") if is_dicom(path)]
    spoilt.write_bytes(bytes(spoilt.stat().st_size))
    shutil.move(lost, archive.files / "lost")
    wait_until(lambda: len(kept(ledger)) == len(small_series.paths) - 2, act=recorded.poll)
    assert not is_whole(ledger)
    for _ in range(3):
        recorded.poll()
    said = capsys.readouterr().out
    assert said.count("not a DICOM file") == 1
    assert said.count("answers with HTTP") == 1
    recorded.asked.clear()
    shutil.move(archive.files / "lost", lost)
    recorded.poll()
    assert len(recorded.fetched) == 1
    assert len(kept(ledger)) == len(small_series.paths) - 1
    assert is_whole(ledger)


def is_dicom(path: Path) -> bool:
    return path.is_file() and path.read_bytes()[128:132] == b"DICM"


def test_polling_of_orthanc_goes_on_when_a_full_disk_has_space_again(
    archive: Archive,
    ledger: Ledger,
    database: Database,
    small_series: WrittenSeries,
    tmp_path: Path,
) -> None:
    archive.store(*small_series.paths)
    with small_disk(tmp_path / "disk", "2m") as disk:
        storage, filler = Storage(disk), disk / "filler"
        filler.write_bytes(bytes(1_500_000))
        with (
            closing(Intake(storage, ledger, keep_free_gb=0.001)) as intake,
            closing(Recorded(archive, intake, storage, ledger, database)) as recorded,
        ):
            with pytest.raises(ResourceError, match="keep_free_gb"):
                wait_until(lambda: False, act=recorded.poll)
            assert not kept(ledger)
            filler.unlink()
            wait_until(has(ledger, *small_series.sop_uids), act=recorded.poll)


def test_a_poll_of_many_studies_in_orthanc_needs_only_a_few_requests(
    recorded: Recorded,
    archive: Archive,
    ledger: Ledger,
    small_series: WrittenSeries,
    tmp_path: Path,
) -> None:
    dataset = pydicom.dcmread(small_series.paths[0])
    paths = []
    for number in range(PAGE + 20):
        dataset.StudyInstanceUID = f"2.25.1.{number}"
        dataset.SeriesInstanceUID = f"2.25.2.{number}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(
            f"2.25.3.{number}"
        )
        paths.append(tmp_path / str(number))
        dataset.save_as(paths[-1])
    archive.store(*paths[1:])
    wait_until(lambda: len(kept(ledger)) == len(paths) - 1 and is_whole(ledger), act=recorded.poll)
    archive.store(paths[0])
    recorded.asked.clear()
    polls = 0

    def poll() -> None:
        nonlocal polls
        polls += 1
        recorded.poll()

    wait_until(lambda: len(kept(ledger)) == len(paths) and is_whole(ledger), act=poll)
    assert len(recorded.fetched) == 1
    assert len(recorded.asked) <= 3 * polls + 3


def test_polling_of_orthanc_names_unusable_certificate_and_password_files(
    intake: Intake, storage: Storage, ledger: Ledger, database: Database, tmp_path: Path
) -> None:
    missing, url = tmp_path / "missing", HttpUrl("http://127.0.0.1:1")
    for settings, said in (
        (OrthancSection(url=url, ca_file=missing), "missing"),
        (OrthancSection(url=url, user="one", password_file=missing), "password_file .* No such"),
    ):
        with (
            pytest.raises(ConfigError, match=said),
            polling_orthanc(settings, intake, storage, ledger, database),
        ):
            pass

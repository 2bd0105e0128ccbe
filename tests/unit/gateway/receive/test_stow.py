"""Tests the STOW-RS receiver with dicomweb-client, Orthanc and malformed requests."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
import trustme
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.uid import UID
from sqlalchemy import select

from gateway.config import StowReceiveSection
from gateway.receive.intake import Intake
from gateway.receive.stow import running_stow
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from gateway.store.schema import TRANSFERS
from tests.disk import small_disk
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.servers import BOUNDARY, LOOPBACK, running_orthanc
from tests.transfer_syntaxes import ALL_SYNTAXES, transcode
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until
from totalmap.errors import ConfigError

ANY_PORT = StowReceiveSection(port=0)
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@contextmanager
def listening(
    intake: Intake,
    storage: Storage,
    settings: StowReceiveSection = ANY_PORT,
    idle_seconds: float = NEVER_SECONDS,
) -> Iterator[str]:
    """Yields the address of the service."""
    with running_stow(settings, idle_seconds, intake, storage) as port:
        scheme = "https" if settings.certificate_file else "http"
        yield f"{scheme}://{LOOPBACK}:{port}/dicom-web"


@pytest.fixture
def url(intake: Intake, storage: Storage) -> Iterator[str]:
    with listening(intake, storage) as address:
        yield address


def body(*contents: bytes, head: str = "Content-Type: application/dicom\r\n") -> bytes:
    parts = [f"--{BOUNDARY}\r\n{head}\r\n".encode() + content + b"\r\n" for content in contents]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def post(url: str, content: bytes, media_type: str = MULTIPART, **more: Any) -> httpx.Response:
    headers = {"Content-Type": media_type, **more.pop("headers", {})}
    with httpx.Client(trust_env=False, timeout=WAIT_SECONDS, **more) as client:
        return client.post(f"{url}/studies", content=content, headers=headers)


def connected(url: str) -> socket.socket:
    port = httpx.URL(url).port
    assert port is not None
    return socket.create_connection((LOOPBACK, port), timeout=WAIT_SECONDS)


@contextmanager
def half_sent(url: str, content: bytes) -> Iterator[socket.socket]:
    """A request of which the last bytes do not come."""
    with connected(url) as connection:
        head = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: {MULTIPART}\r\n"
        begun = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:-200]
        connection.sendall(begun)
        yield connection


def said(answer: httpx.Response) -> Dataset:
    assert answer.headers["content-type"] == "application/dicom+json"
    return Dataset.from_json(answer.json())


def kept(ledger: Ledger) -> set[str]:
    return {instance.sop_instance_uid for instance in ledger.instances()}


def test_the_stow_receiver_stores_instances_sent_by_dicomweb_client(
    url: str, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    datasets = [pydicom.dcmread(path) for path in phantom_series.paths]
    answer = DICOMwebClient(url).store_instances(datasets)
    assert {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence} == kept(ledger)
    assert "FailedSOPSequence" not in answer
    sent = {dataset.SOPInstanceUID: dataset for dataset in datasets}
    for instance in ledger.instances():
        assert instance.sender == "STOW-RS"
        assert pydicom.dcmread(storage.path(instance)) == sent[UID(instance.sop_instance_uid)]
    assert len(sent) == len(kept(ledger))
    (study,) = ledger.growing_studies()
    assert study.transfers_ended_at is not None
    assert not list(storage.incoming.iterdir())


def test_the_stow_receiver_stores_instances_sent_by_orthanc(
    intake: Intake, storage: Storage, ledger: Ledger, tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    with listening(intake, storage) as url, running_orthanc(tmp_path) as orthanc:
        orthanc.store(*phantom_series.paths)
        rest = httpx.Client(base_url=orthanc.url, trust_env=False, timeout=WAIT_SECONDS)
        with rest:
            rest.put("/dicom-web/servers/gateway", json={"Url": url}).raise_for_status()
            (study,) = rest.get("/studies").json()
            rest.post(
                "/dicom-web/servers/gateway/stow",
                json={"Resources": [study], "Synchronous": True},
            ).raise_for_status()
    assert kept(ledger) == set(phantom_series.sop_uids)


@pytest.mark.parametrize("syntax", ALL_SYNTAXES, ids=lambda uid: uid.keyword)
def test_the_stow_receiver_stores_every_transfer_syntax_unchanged(
    url: str, storage: Storage, ledger: Ledger, tmp_path: Path, syntax: UID
) -> None:
    path = write_series(tmp_path / "in", 1, SeriesSpec(rows=32, columns=32, n_slices=1)).paths[0]
    transcode(path, syntax)
    assert post(url, body(path.read_bytes())).status_code == 200
    (one,) = ledger.instances()
    assert storage.path(one).read_bytes() == path.read_bytes()


def test_parts_of_a_stow_request_that_fail_do_not_keep_others_from_being_stored(
    url: str, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    good = phantom_series.paths[0].read_bytes()
    answer = post(url, body(b"PK\x03\x04 a zip", good, b"<html></html>", b""))
    assert answer.status_code == 202
    assert len(said(answer).ReferencedSOPSequence) == 1
    failed = said(answer).OtherFailuresSequence
    assert [item.FailureReason for item in failed] == [0xC000] * 3
    assert kept(ledger) == {phantom_series.sop_uids[0]}


def test_a_stow_request_whose_parts_all_fail_is_answered_with_409(
    url: str, storage: Storage, ledger: Ledger
) -> None:
    answer = post(url, body(b"no DICOM"))
    assert answer.status_code == 409
    assert "ReferencedSOPSequence" not in said(answer)
    assert not kept(ledger)
    assert not list(storage.incoming.iterdir())


def test_the_stow_receiver_stores_only_instances_of_the_study_in_the_url(
    url: str, ledger: Ledger, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    other = write_series(tmp_path / "other", 2, SeriesSpec(rows=32, columns=32, n_slices=1))
    ours = pydicom.dcmread(phantom_series.paths[0]).StudyInstanceUID
    content = body(phantom_series.paths[0].read_bytes(), other.paths[0].read_bytes())
    headers = {"Content-Type": MULTIPART}
    answer = httpx.post(
        f"{url}/studies/{ours}", content=content, headers=headers, timeout=WAIT_SECONDS
    )
    assert answer.status_code == 202
    (failed,) = said(answer).FailedSOPSequence
    assert failed.FailureReason == 0xA900
    assert failed.ReferencedSOPInstanceUID == other.sop_uids[0]
    assert kept(ledger) == {phantom_series.sop_uids[0]}


def test_the_stow_receiver_never_uses_file_names_in_the_parts_as_paths(
    url: str, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    head = (
        "Content-Location: ../../../evil.dcm\r\n"
        'Content-Disposition: attachment; filename="/tmp/evil.dcm"\r\n'
    )
    folder = storage.incoming.parent.parent
    before = {path for path in folder.rglob("*") if "storage" not in path.parts}
    answer = post(url, body(phantom_series.paths[0].read_bytes(), head=head))
    assert answer.status_code == 200
    (one,) = ledger.instances()
    assert storage.path(one).exists()
    assert {path for path in folder.rglob("*") if "storage" not in path.parts} == before
    assert not list(folder.parent.rglob("evil*"))


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/dicom", 415),
        (f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}', 415),
        (f"multipart/form-data; boundary={BOUNDARY}", 415),
        ("", 415),
        ('multipart/related; type="application/dicom"', 400),
        (f"multipart/related; boundary={'b' * 201}", 400),
        ("multipart/related; boundary=another", 400),
        (f"multipart/related; boundary={BOUNDARY}", 200),
        (f'Multipart/Related; boundary="{BOUNDARY}"; TYPE=Application/DICOM', 200),
    ],
)
def test_the_stow_receiver_refuses_other_media_types(
    url: str, phantom_series: WrittenSeries, media_type: str, status: int
) -> None:
    answer = post(url, body(phantom_series.paths[0].read_bytes()), media_type)
    assert answer.status_code == status, answer.text


def test_a_stow_request_with_content_encoding_is_refused(url: str) -> None:
    assert post(url, b"", headers={"Content-Encoding": "gzip"}).status_code == 415


@pytest.mark.parametrize(
    "content", [b"", b"garbage", body(), body(b"x")[:-8], b"--" + BOUNDARY.encode() + b"x\r\n"]
)
def test_malformed_stow_requests_are_refused(
    url: str, storage: Storage, ledger: Ledger, content: bytes
) -> None:
    assert post(url, content).status_code == 400
    assert not kept(ledger)
    assert not list(storage.incoming.iterdir())


def test_a_truncated_stow_request_is_refused_and_its_complete_parts_are_stored(
    url: str, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    content = body(*(path.read_bytes() for path in phantom_series.paths[:2]))
    assert post(url, content[:-200]).status_code == 400
    assert kept(ledger) == {phantom_series.sop_uids[0]}
    (study,) = ledger.growing_studies()
    assert study.transfers_ended_at is None


def ends(database: Database) -> list[bool]:
    """Returns of each transfer that has ended whether it was whole."""
    with database.transaction() as connection:
        return [*connection.execute(select(TRANSFERS.c.is_whole)).scalars()]


def test_a_stow_request_that_is_cut_off_is_not_a_whole_transfer(
    url: str,
    storage: Storage,
    database: Database,
    ledger: Ledger,
    phantom_series: WrittenSeries,
) -> None:
    content = body(*(path.read_bytes() for path in phantom_series.paths[:2]))
    with half_sent(url, content):
        wait_until(lambda: len(kept(ledger)) == 1)
    wait_until(lambda: not list(storage.incoming.iterdir()))
    wait_until(lambda: ends(database) == [False])
    (study,) = ledger.growing_studies()
    assert study.transfers_ended_at is None


def test_a_silent_stow_request_is_answered_with_408(intake: Intake, storage: Storage) -> None:
    with (
        listening(intake, storage, idle_seconds=0.3) as url,
        half_sent(url, body(bytes(1000))) as connection,
    ):
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
        assert not list(storage.incoming.iterdir())


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_stow_request_that_is_too_large_is_refused(
    intake: Intake, storage: Storage, ledger: Ledger, is_announced: bool
) -> None:
    settings = ANY_PORT.model_copy(update={"max_request_mb": 0.2})
    content = body(bytes(300_000))
    with listening(intake, storage, settings) as url:
        chunks = (content[at : at + 50_000] for at in range(0, len(content), 50_000))
        answer = httpx.post(
            f"{url}/studies",
            content=content if is_announced else chunks,
            headers={"Content-Type": MULTIPART},
            timeout=WAIT_SECONDS,
        )
        assert answer.status_code == 413
        assert "0.2 MB" in answer.text
    assert not list(storage.incoming.iterdir())
    assert not kept(ledger)


def test_a_large_stow_request_is_not_held_in_memory(url: str, storage: Storage) -> None:
    """While 300 MB come, they are in a file, but for what sockets hold on its way."""
    seen = 0

    def chunks() -> Iterator[bytes]:
        nonlocal seen
        yield f"--{BOUNDARY}\r\n\r\n".encode()
        for _ in range(300):
            yield bytes(1_000_000)
            seen = max([seen, *(path.stat().st_size for path in storage.incoming.iterdir())])
        yield f"\r\n--{BOUNDARY}--".encode()

    headers = {"Content-Type": MULTIPART}
    answer = httpx.post(f"{url}/studies", content=chunks(), headers=headers, timeout=WAIT_SECONDS)
    assert answer.status_code == 409
    assert seen > 280_000_000


def test_the_stow_receiver_answers_on_a_full_disk_with_503_until_there_is_space(
    ledger: Ledger, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    content = body(phantom_series.paths[0].read_bytes())
    with small_disk(tmp_path / "disk", "2m") as disk:
        storage, filler = Storage(disk), disk / "filler"
        with (
            closing(Intake(storage, ledger, keep_free_gb=0.001)) as intake,
            listening(intake, storage) as url,
        ):
            filler.write_bytes(bytes(1_500_000))
            for item in (content, body(bytes(1_000_000))):
                answer = post(url, item)
                assert answer.status_code == 503
                assert answer.headers["retry-after"] == "10"
            assert not kept(ledger)
            assert not list(storage.incoming.iterdir())
            filler.unlink()
            assert post(url, content).status_code == 200
            assert kept(ledger) == {phantom_series.sop_uids[0]}


@contextmanager
def encrypted(
    intake: Intake, storage: Storage, folder: Path
) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Yields the address of the service, and what trusts it."""
    authority = trustme.CA()
    issued = authority.issue_cert(LOOPBACK)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(certificate)
    settings = StowReceiveSection(port=0, certificate_file=certificate, key_file=key)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with listening(intake, storage, settings) as url:
        yield url, trusting


def test_with_a_certificate_the_stow_receiver_serves_only_https_requests(
    intake: Intake, storage: Storage, ledger: Ledger, tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    with encrypted(intake, storage, tmp_path) as (url, trusting):
        content = body(phantom_series.paths[0].read_bytes())
        assert post(url, content, verify=trusting).status_code == 200
        with pytest.raises(httpx.ConnectError):
            post(url, content)
        with pytest.raises(httpx.HTTPError):
            post(url.replace("https", "http"), content)
    assert len(kept(ledger)) == 1


def test_the_stow_receiver_names_unusable_certificate_and_token_files(
    intake: Intake, storage: Storage, tmp_path: Path
) -> None:
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.write_text("\n")
    for settings, said in (
        (StowReceiveSection(port=0, certificate_file=missing, key_file=missing), "missing"),
        (StowReceiveSection(port=0, token_file=missing), r"stow\.token_file .* No such file"),
    ):
        with pytest.raises(ConfigError, match=said), listening(intake, storage, settings):
            pass
    with (
        pytest.raises(ConfigError, match=r"receive\.stow\.token_file .* first line"),
        listening(intake, storage, StowReceiveSection(port=0, token_file=empty)),
    ):
        pass


def test_the_stow_receiver_answers_other_paths_and_methods_with_404_and_405(url: str) -> None:
    assert httpx.get(f"{url}/studies", timeout=WAIT_SECONDS).status_code == 405
    assert httpx.post(f"{url}/instances", timeout=WAIT_SECONDS).status_code == 404


def test_the_answer_of_the_stow_receiver_is_dicom_json(
    url: str, phantom_series: WrittenSeries
) -> None:
    """PS3.18 F.2."""
    answer = post(url, body(phantom_series.paths[0].read_bytes()))
    (item,) = json.loads(answer.content)["00081199"]["Value"]
    assert item["00081155"] == {"vr": "UI", "Value": [phantom_series.sop_uids[0]]}

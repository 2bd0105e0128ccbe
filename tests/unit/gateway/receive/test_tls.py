"""Tests the DICOM receiver over TLS, with dcmtk and pynetdicom."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
import trustme
from pynetdicom.association import Association

from gateway.config import ReceiveSection, TlsSection
from gateway.receive.dicom_receiver import running_receiver
from gateway.receive.intake import Intake
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.gateway_process import storescu
from tests.phantom.study import WrittenSeries
from tests.sending import associate
from tests.servers import LOOPBACK
from tests.waiting import NEVER_SECONDS
from totalmap.errors import ConfigError


class Certificates:
    """Of a hospital, its gateway, and one of its scanners; and of a stranger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        hospital, elsewhere = trustme.CA(), trustme.CA()
        self.ca = folder / "ca.pem"
        hospital.cert_pem.write_to_path(self.ca)
        self.gateway = self._write("gateway", hospital.issue_cert(LOOPBACK))
        self.scanner = self._write("scanner", hospital.issue_cert("ct1.example.org"))
        self.stranger = self._write("stranger", elsewhere.issue_cert("ct1.example.org"))

    def _write(self, name: str, issued: trustme.LeafCert) -> tuple[Path, Path]:
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        issued.private_key_pem.write_to_path(key)
        issued.cert_chain_pems[0].write_to_path(certificate)
        return key, certificate


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def settings(certificates: Certificates, **more: Path) -> ReceiveSection:
    key, certificate = certificates.gateway
    tls = TlsSection(certificate_file=certificate, key_file=key, **more)
    return ReceiveSection(
        port=0,
        keep_free_gb=0.0,
        tls=tls,
        request_seconds=NEVER_SECONDS,
        pdu_seconds=NEVER_SECONDS,
        idle_seconds=NEVER_SECONDS,
    )


@pytest.fixture
def port(intake: Intake, storage: Storage, certificates: Certificates) -> Iterator[int]:
    """Of a receiver that wants to see a certificate of the hospital."""
    wanted = settings(certificates, senders_ca_file=certificates.ca)
    with running_receiver(wanted, intake, storage) as listening:
        yield listening


def associated(
    port: int, certificates: Certificates, shown: tuple[Path, Path] | None
) -> Association:
    context = ssl.create_default_context(cafile=certificates.ca)
    if shown:
        key, certificate = shown
        context.load_cert_chain(certificate, key)
    return associate(port, tls=context)


def test_storescu_sends_to_the_dicom_receiver_over_tls_with_its_certificate(
    port: int, ledger: Ledger, certificates: Certificates, phantom_series: WrittenSeries
) -> None:
    key, certificate = certificates.scanner
    options = ("--enable-tls", str(key), str(certificate), "--add-cert-file", str(certificates.ca))
    sender = storescu(port, [phantom_series.folder], *options)
    said, _ = sender.communicate()
    assert sender.returncode == 0, said
    assert len(list(ledger.instances())) == len(phantom_series.paths)


def test_only_dicom_senders_with_a_certificate_of_the_given_authority_are_accepted(
    port: int, ledger: Ledger, certificates: Certificates, phantom_series: WrittenSeries
) -> None:
    dataset = pydicom.dcmread(phantom_series.paths[0])
    for shown in (None, certificates.stranger):
        assert not associated(port, certificates, shown).is_established
    association = associated(port, certificates, certificates.scanner)
    assert association.send_c_store(dataset).Status == 0
    association.release()
    assert len(list(ledger.instances())) == 1


def test_without_senders_ca_file_dicom_senders_over_tls_need_no_certificate(
    intake: Intake, storage: Storage, certificates: Certificates
) -> None:
    with running_receiver(settings(certificates), intake, storage) as port:
        association = associated(port, certificates, None)
        assert association.is_established
        association.release()


def test_a_dicom_receiver_with_tls_accepts_no_association_without_it(port: int) -> None:
    assert not associate(port).is_established


def test_the_dicom_receiver_names_unusable_certificate_files(
    intake: Intake, storage: Storage, certificates: Certificates, tmp_path: Path
) -> None:
    key, _ = certificates.gateway
    for item in (tmp_path / "missing.pem", certificates.scanner[1]):
        tls = TlsSection(certificate_file=item, key_file=key)
        wrong = ReceiveSection(port=0, tls=tls)
        with (
            pytest.raises(ConfigError, match=item.name),
            running_receiver(wrong, intake, storage),
        ):
            pass

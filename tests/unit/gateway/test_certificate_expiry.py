from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from gateway.certificate_expiry import CertificateExpiry, certificates, expiring_certificates
from gateway.config import GatewaySettings

DAY = 86_400.0


def issued(path: Path, days: float, authority: trustme.CA | None = None) -> Path:
    """Writes a certificate that expires in some days; returns its path."""
    by = authority or trustme.CA()
    expires = datetime.now(UTC) + timedelta(days=days)
    leaf = by.issue_cert("gateway.example", not_after=expires)
    path.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
    return path


def names(settings: GatewaySettings) -> list[str]:
    return [found.setting for found in expiring_certificates(settings)]


def test_gateway_certificates_that_expire_within_30_days_are_named_the_next_first(
    tmp_path: Path,
) -> None:
    file = {days: str(issued(tmp_path / f"{days}.pem", days)) for days in (-1, 3, 29, 31)}
    address = {"ae_title": "PACS", "address": "127.0.0.1"}
    settings = GatewaySettings.model_validate(
        {
            "web": {"certificate_file": file[29], "key_file": "key.pem"},
            "receive": {
                "tls": {"certificate_file": file[3], "key_file": "key.pem"},
                "stow": {"certificate_file": file[31], "key_file": "key.pem"},
            },
            "destinations": [
                {"name": "pacs", "dicom": {**address, "certificate_file": file[-1]}},
                {"name": "archive", "dicom": {**address, "certificate_file": file[31]}},
            ],
        }
    )
    assert names(settings) == [
        "destinations[pacs].dicom.certificate_file",
        "receive.tls.certificate_file",
        "web.certificate_file",
    ]
    assert len(certificates(settings)) == 5


def test_the_expiry_check_names_the_certificate_authority_of_the_identity_provider(
    tmp_path: Path,
) -> None:
    oidc = {"issuer": "https://id.example", "client_id": "totalmap", "client_secret_file": "s"}
    oidc |= {"ca_file": str(issued(tmp_path / "ca.pem", 3))}
    web = {"oidc": oidc, "public_url": "https://totalmap.example"}
    settings = GatewaySettings.model_validate({"web": web})
    assert names(settings) == ["web.oidc.ca_file"]


def test_a_certificate_chain_expires_with_its_first_and_a_bundle_with_its_last_one(
    tmp_path: Path,
) -> None:
    soon, late = (issued(tmp_path / f"{days}.pem", days).read_bytes() for days in (5, 300))
    both = tmp_path / "both.pem"
    both.write_bytes(late + soon)
    tls = {"certificate_file": str(both), "key_file": "k.pem", "senders_ca_file": str(both)}
    settings = GatewaySettings.model_validate({"receive": {"tls": tls}})
    assert names(settings) == ["receive.tls.certificate_file"]


@pytest.mark.parametrize("content", [None, b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA"])
def test_the_expiry_check_leaves_an_unreadable_certificate_file_to_other_checks(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "certificate.pem"
    if content is not None:
        file.write_bytes(content)
    settings = GatewaySettings.model_validate({"web": {"certificate_file": str(file)}})
    assert names(settings) == []


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        (17.5, "the certificate in web.certificate_file expires on 2026-12-19, in 18 days"),
        (0.5, "the certificate in web.certificate_file expires on 2026-12-02, in 1 day"),
        (-2, "the certificate in web.certificate_file expired on 2026-11-29: replace the file"),
    ],
)
def test_the_warning_says_when_a_certificate_expires(days: float, sentence: str) -> None:
    now = datetime(2026, 12, 1, 18, tzinfo=UTC).timestamp()
    found = CertificateExpiry(setting="web.certificate_file", expires_at=now + days * DAY)
    assert found.sentence(now) == sentence
    assert found.days_left(now) == pytest.approx(days)

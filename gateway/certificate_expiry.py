"""Finds the certificates in gateway.yaml that expire soon."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from cryptography.x509 import Certificate, load_pem_x509_certificates

from gateway.config import GatewaySettings

WARNING_DAYS = 30.0
_SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateExpiry:
    """When a certificate in the settings expires.

    Attributes:
        setting: The setting that names the file, such as `web.certificate_file`.
        expires_at: Seconds since 1970, UTC; of the certificates in the file, the one that counts.
    """

    setting: str
    expires_at: float

    def days_left(self, now: float) -> float:
        """Returns how many days are left at a moment; below 0 if it has expired."""
        return (self.expires_at - now) / _SECONDS_PER_DAY

    def sentence(self, now: float) -> str:
        """Returns what to tell people, without a full stop.

        Args:
            now: Seconds since 1970, UTC.
        """
        day = datetime.fromtimestamp(self.expires_at, UTC).strftime("%Y-%m-%d")
        days = ceil(self.days_left(now))
        if self.expires_at <= now:
            return f"the certificate in {self.setting} expired on {day}: replace the file"
        unit = "day" if days == 1 else "days"
        return f"the certificate in {self.setting} expires on {day}, in {days} {unit}"


def expiring_certificates(
    settings: GatewaySettings, now: float | None = None, days: float = WARNING_DAYS
) -> Sequence[CertificateExpiry]:
    """Returns the certificates that have expired or expire within some days, the next one first.

    A file that can't be read is left out: `totalmap gateway check` and the start name it.

    Args:
        settings: Of the gateway.
        now: Seconds since 1970, UTC; None: now.
        days: The number of days.
    """
    moment = time.time() if now is None else now
    soon = [each for each in certificates(settings) if each.days_left(moment) <= days]
    return sorted(soon, key=lambda each: (each.expires_at, each.setting))


def certificates(settings: GatewaySettings) -> Sequence[CertificateExpiry]:
    """Returns every certificate in the settings that can be read."""
    # With a chain, the first that expires breaks it. A bundle may hold old authorities.
    own = [(setting, _expiries(path), min) for setting, path in _own_files(settings)]
    trusted = [(setting, _expiries(path), max) for setting, path in _authority_files(settings)]
    return [
        CertificateExpiry(setting=setting, expires_at=counts(moments))
        for setting, moments, counts in (*own, *trusted)
        if moments
    ]


def _own_files(settings: GatewaySettings) -> Iterator[tuple[str, Path | None]]:
    """Yields the files with certificates that the gateway shows to others."""
    receive = settings.receive
    yield "web.certificate_file", settings.web.certificate_file
    if receive.tls is not None:
        yield "receive.tls.certificate_file", receive.tls.certificate_file
    if receive.stow is not None:
        yield "receive.stow.certificate_file", receive.stow.certificate_file
    for destination in settings.destinations:
        if destination.dicom is not None:
            setting = f"certificate_file of destination {destination.name}"
            yield setting, destination.dicom.certificate_file
    if settings.audit.syslog is not None:
        yield "audit.syslog.certificate_file", settings.audit.syslog.certificate_file


def _authority_files(settings: GatewaySettings) -> Iterator[tuple[str, Path | None]]:
    """Yields the files with certificates by which the gateway knows others."""
    if settings.receive.tls is not None:
        yield "receive.tls.senders_ca_file", settings.receive.tls.senders_ca_file
    for number, orthanc in enumerate(settings.receive.orthancs, start=1):
        yield f"receive.orthancs.ca_file, number {number}", orthanc.ca_file
    for destination in settings.destinations:
        peer = destination.dicom or destination.stow
        if peer is not None:
            yield f"ca_file of destination {destination.name}", peer.ca_file
    if settings.audit.syslog is not None:
        yield "audit.syslog.ca_file", settings.audit.syslog.ca_file
    if settings.alarms.email is not None:
        yield "alarms.email.ca_file", settings.alarms.email.ca_file
    for webhook in settings.alarms.webhooks:
        yield f"alarms.webhooks.ca_file of {webhook.name}", webhook.ca_file


def _expiries(path: Path | None) -> Sequence[float]:
    """Returns when each certificate of a file expires; none if the file can't be read."""
    if path is None:
        return []
    try:
        found: Sequence[Certificate] = load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []
    return [certificate.not_valid_after_utc.timestamp() for certificate in found]

"""Finds the certificates in gateway.yaml that expire soon."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from types import MappingProxyType

from cryptography.x509 import Certificate, load_pem_x509_certificates

from gateway.config import GatewaySettings
from gateway.config.named_files import named_files
from totalmap.texts.catalogue import Message, counted_key

WARNING_DAYS = 30.0
_SECONDS_PER_DAY = 86_400.0
# Of several certificates in a file: with a chain, the first that expires breaks it; a bundle may
# hold old authorities.
_WHICH_COUNTS: Mapping[str, Callable[[Sequence[float]], float]] = MappingProxyType(
    {"certificate_file": min, "ca_file": max}
)


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

    def sentence(self, now: float) -> Message:
        """Returns what to tell people, without a full stop.

        Args:
            now: Seconds since 1970, UTC.
        """
        year, month, date = f"{datetime.fromtimestamp(self.expires_at, UTC):%Y-%m-%d}".split("-")
        day = Message("date", year=year, month=month, day=date)
        if self.expires_at <= now:
            return Message("certificate.expired", setting=self.setting, day=day)
        n_days = ceil(self.days_left(now))
        days = Message(counted_key("count.day", n_days), count=n_days)
        return Message("certificate.expires", setting=self.setting, day=day, days=days)


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
    return [
        CertificateExpiry(setting=setting, expires_at=which(moments))
        for setting, path in named_files(settings)
        for suffix, which in _WHICH_COUNTS.items()
        if setting.endswith(suffix) and (moments := _expiries(path))
    ]


def _expiries(path: Path) -> Sequence[float]:
    """Returns when each certificate of a file expires; none if the file can't be read."""
    try:
        found: Sequence[Certificate] = load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []
    return [certificate.not_valid_after_utc.timestamp() for certificate in found]

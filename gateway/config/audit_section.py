"""The `audit` section: where the audit trail goes."""

from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat

from gateway.config.value_types import Port
from totalmap.settings_file import Section


class SyslogSection(Section):
    """A collector of audit messages: by TLS (PS3.15 A.6), UDP (PS3.15 A.7), or plain TCP.

    Attributes:
        host: Its host name, as in its certificate, or its address.
        port: 6514 is usual for TLS.
        protocol: Only TCP and TLS notice that the collector is away.
        ca_file: PEM, with the authorities of its certificate; None: the usual authorities.
        certificate_file: PEM, the gateway's certificate, if one is demanded; with key_file.
        time_out_seconds: How long to wait for it to answer.
        retry_seconds: How long nothing is sent to it after it has refused a message.
    """

    host: str
    port: Port = 514
    protocol: Literal["udp", "tcp", "tls"] = "udp"
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    time_out_seconds: PositiveFloat = 3.0
    retry_seconds: PositiveFloat = 60.0


class AuditSection(Section):
    """The places to which audit messages (PS3.15 A.5) are written.

    Attributes:
        file: One message a line; None: no file. It holds Patient IDs, as the standard demands.
        syslog: A collector; None: none.
    """

    file: Path | None = None
    syslog: SyslogSection | None = None

    @property
    def places(self) -> tuple[str, ...]:
        """The names of the places that are set."""
        places = {"file": self.file, "syslog": self.syslog}
        return tuple(name for name, place in places.items() if place is not None)

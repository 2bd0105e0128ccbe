"""What gateway.yaml says, section by section; the defaults are safe on a machine of one's own."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints

from totalmap.settings import Section

# PS3.5 6.2, VR AE: 16 characters of the default repertoire; no backslash, no control characters.
AeTitle = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$"),
]


class SenderSection(Section):
    """Who may send.

    Attributes:
        ae_title: How the sender calls itself; None: any title.
        network: Where it sends from, as 10.1.2.3 or 10.1.2.0/24; None: any address.
    """

    ae_title: AeTitle | None = None
    network: IPv4Network | IPv6Network | None = None


class TlsSection(Section):
    """Encryption (PS3.15 B.9): TLS 1.2 or newer.

    Attributes:
        certificate_file: PEM, this gateway's and those that vouch for it.
        key_file: PEM, without a password; only the gateway's user should be able to read it.
        senders_ca_file: PEM, of those who vouch for senders; then a sender needs a certificate of
            theirs. None: senders need none.
    """

    certificate_file: Path
    key_file: Path
    senders_ca_file: Path | None = None


class ReceiveSection(Section):
    """How studies come in by C-STORE.

    Attributes:
        address: Of this machine, to listen on; 0.0.0.0 for all of them.
        port: 104 is DICOM's own, which only root may take.
        ae_title: How senders have to call this gateway.
        senders: Those who may send; none named: everybody who reaches the address.
        max_associations: At the same time. One more is turned away and may come again.
        max_instance_mb: A larger instance ends its association.
        request_seconds: How long a connection may take to ask for an association.
        idle_seconds: How long an association may be silent.
        keep_free_gb: With less on the disk, instances are refused as "out of resources", which
            senders try again.
        tls: How connections are encrypted; None: they are not.
    """

    address: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    ae_title: AeTitle = "TOTALMAP"
    senders: tuple[SenderSection, ...] = ()
    max_associations: PositiveInt = 64
    max_instance_mb: PositiveFloat = 4096.0
    request_seconds: PositiveFloat = 3.0
    idle_seconds: PositiveFloat = 60.0
    keep_free_gb: Annotated[float, Field(ge=0)] = 2.0
    tls: TlsSection | None = None


class CompleteSection(Section):
    """When a study is taken to be complete.

    Attributes:
        quiet_seconds: After all senders of it have released their associations.
        quiet_unreleased_seconds: After its last instance, where one has not, or was cut off.
    """

    quiet_seconds: PositiveFloat = 5.0
    quiet_unreleased_seconds: PositiveFloat = 60.0


class GatewaySettings(Section):
    """All of gateway.yaml.

    Attributes:
        storage_folder: Where studies and, but for Postgres, the ledger lie.
        ledger_url: Of a database, as SQLAlchemy writes it, such as postgresql+psycopg://user@host/db;
            None: SQLite in the storage folder.
    """

    storage_folder: Path = Path("totalmap-gateway")
    ledger_url: str | None = None
    receive: ReceiveSection = ReceiveSection()
    complete: CompleteSection = CompleteSection()

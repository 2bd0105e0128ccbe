"""The `receive` section: how studies come in."""

from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, HttpUrl, PositiveFloat, PositiveInt, StringConstraints, model_validator

from gateway.config.value_types import AeTitle, ListeningPort, Port
from totalmap.settings_file import Section


class SenderSection(Section):
    """A peer that may send studies, or report on storage commitment.

    Attributes:
        ae_title: Its AE title; None: any title.
        network: From where it sends, such as 10.1.2.3 or 10.1.2.0/24; None: any address.
        address: Where it listens for reports on storage commitment (PS3.4 J); None: the address
            from which it asked.
        port: At which it listens for them; None: it gets them over the association in which it
            asked.
    """

    ae_title: AeTitle | None = None
    network: IPv4Network | IPv6Network | None = None
    address: str | None = None
    port: Port | None = None

    def matches(self, title: str, address: str) -> bool:
        """Returns whether a sender with this AE title and address is meant."""
        return (self.ae_title is None or self.ae_title == title) and (
            self.network is None or ip_address(address) in self.network
        )


class TlsSection(Section):
    """Encryption (PS3.15 B.9): TLS 1.2 or newer.

    Attributes:
        certificate_file: PEM, the gateway's certificate, followed by those of its authorities.
        key_file: PEM, without a password; only the user of the gateway should be able to read it.
        senders_ca_file: PEM, with the authorities of the certificates that senders need; None:
            senders need no certificate.
    """

    certificate_file: Path
    key_file: Path
    senders_ca_file: Path | None = None


class StowReceiveSection(Section):
    """How studies are received by STOW-RS (PS3.18 10.5), at /dicom-web/studies.

    Attributes:
        address: The address of this machine to listen on.
        port: The port to listen on; 0: any free port.
        user: With password_file, for basic authentication; without both and without token_file,
            everybody who can reach the address may send.
        password_file: A file whose first line is the password.
        token_file: A file whose first line has to be sent as a bearer token.
        certificate_file: PEM, the gateway's certificate for HTTPS; with key_file.
        max_request_mb: The largest request, in MB; a larger one is refused.
    """

    address: str = "127.0.0.1"
    port: ListeningPort = 8043
    user: Annotated[str, StringConstraints(pattern=r"^[^:]{1,64}$")] | None = None
    password_file: Path | None = None
    token_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    max_request_mb: PositiveFloat = 8192.0

    @model_validator(mode="after")
    def _pairs_are_whole(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file need each other")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file need each other")
        return self


class WatchedFolderSection(Section):
    """A folder into which other programs put DICOM files; taken files are removed from it.

    Attributes:
        folder: The folder, with all its subfolders except `rejected`; files that are not DICOM are
            moved there.
        quiet_seconds: A file is taken when it was not written to for so long.
        sender: The sender of its files, for rules and for `sender` as a destination.
    """

    folder: Path
    quiet_seconds: PositiveFloat = 5.0
    sender: AeTitle = "FOLDER"


class OrthancSection(Section):
    """An Orthanc from which studies are taken that the ledger does not have.

    Attributes:
        url: The URL of its REST API.
        user: With password_file, for basic authentication.
        password_file: A file whose first line is the password.
        ca_file: PEM, with the authorities of its certificate; None: the usual authorities.
        poll_seconds: The time between two polls.
        modalities: The modalities of the series to take.
        since_days: A study is left out that was there so many days before the first poll and has
            not grown since; None: all studies are taken.
        sender: The sender of its studies, for rules and for `sender` as a destination.
    """

    url: HttpUrl = Field(repr=False)  # it may hold a password
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    poll_seconds: PositiveFloat = 10.0
    modalities: tuple[str, ...] = ("CT",)
    since_days: Annotated[float, Field(ge=0)] | None = 1.0
    sender: AeTitle = "ORTHANC"

    @model_validator(mode="after")
    def _pair_is_whole(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file need each other")
        return self


class ReceiveSection(Section):
    """How studies are received: always by C-STORE, and in other ways if they are named.

    Attributes:
        address: The address of this machine to listen on; 0.0.0.0 for all its addresses.
        port: The port to listen on; only root may take 104, the port of DICOM.
        ae_title: The AE title by which senders have to call the gateway.
        senders: Who may send; empty: everybody who can reach the address.
        processes: The number of processes that receive, each of which can keep one core busy.
        max_associations: The number of associations at the same time; a further one is rejected for
            the moment. An eighth of them is kept for senders that have no association yet.
        max_associations_per_sender: The same for one AE title, and for one address; None: half of
            max_associations.
        max_instance_mb: The largest instance, in MB; a larger one ends its association.
        request_seconds: How long a connection may take to ask for an association.
        pdu_seconds: How long a sender may take for one PDU, and for taking an answer. A PDU has at
            most 128 kB.
        idle_seconds: How long an association may be idle.
        keep_free_gb: With less free space on the disk, instances are refused as "out of resources",
            and senders try them again.
        tls: How connections are encrypted; None: they are not.
        stow: How studies are received by STOW-RS; None: they are not.
        folders: Watched folders.
        orthancs: Orthanc servers that are polled.
    """

    address: str = "127.0.0.1"
    port: ListeningPort = 11112
    ae_title: AeTitle = "TOTALMAP"
    senders: tuple[SenderSection, ...] = ()
    processes: Annotated[int, Field(ge=1, le=64)] = 2
    max_associations: PositiveInt = 64
    max_associations_per_sender: PositiveInt | None = None
    max_instance_mb: PositiveFloat = 4096.0
    request_seconds: PositiveFloat = 3.0
    pdu_seconds: PositiveFloat = 10.0
    idle_seconds: PositiveFloat = 60.0
    keep_free_gb: Annotated[float, Field(ge=0)] = 2.0
    tls: TlsSection | None = None
    stow: StowReceiveSection | None = None
    folders: tuple[WatchedFolderSection, ...] = ()
    orthancs: tuple[OrthancSection, ...] = ()

    @property
    def associations_per_sender(self) -> int:
        """The number of associations that a sender may have at the same time."""
        return self.max_associations_per_sender or max(1, self.max_associations // 2)

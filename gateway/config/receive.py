"""How studies come in."""

from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, HttpUrl, PositiveFloat, PositiveInt, StringConstraints, model_validator

from gateway.config.values import AeTitle, ListeningPort, Port
from totalmap.settings_file import Section


class SenderSection(Section):
    """Who may send, or report that it has committed itself to results.

    Attributes:
        ae_title: How the sender calls itself; None: any title.
        network: Where it sends from, as 10.1.2.3 or 10.1.2.0/24; None: any address.
        address: Where it listens for what it asked for storage commitment (PS3.4 J); None: where
            it asked from.
        port: At which it does; None: it hears of it over the association in which it asked.
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
        certificate_file: PEM, this gateway's and those that vouch for it.
        key_file: PEM, without a password; only the gateway's user should be able to read it.
        senders_ca_file: PEM, of those who vouch for senders; then a sender needs a certificate of
            theirs. None: senders need none.
    """

    certificate_file: Path
    key_file: Path
    senders_ca_file: Path | None = None


class StowReceiveSection(Section):
    """How studies come in by STOW-RS (PS3.18 10.5), at /dicom-web/studies.

    Attributes:
        address: Of this machine, to listen on.
        port: 0 takes one that is free.
        user: With password_file, for basic authentication; without both and without token_file,
            everybody who reaches the address may send.
        password_file: Whose first line is the password.
        token_file: Whose first line has to be sent as a bearer token.
        certificate_file: PEM, this gateway's, for HTTPS; with key_file.
        max_request_mb: A larger request is refused.
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
    """A folder into which others put DICOM files; what was taken is removed from it.

    Attributes:
        folder: With all that lies below it, but for `rejected`, where that goes which is not DICOM.
        quiet_seconds: A file is taken that was not written to for so long.
        sender: By what name goes what lies in it, for rules and for `sender` as a destination.
    """

    folder: Path
    quiet_seconds: PositiveFloat = 5.0
    sender: AeTitle = "FOLDER"


class OrthancSection(Section):
    """An Orthanc whose studies are taken, by asking it for what the ledger does not have.

    Attributes:
        url: Of its REST API.
        user: With password_file, for basic authentication.
        password_file: Whose first line is the password.
        ca_file: PEM, of those who vouch for it; None: the usual authorities.
        poll_seconds: Between two questions.
        modalities: Of the series to take.
        since_days: A study is left alone that was there so long before the first question, and has
            not grown since; None: all are taken.
        sender: By what name goes what comes from it, for rules and for `sender` as a destination.
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
    """How studies come in: by C-STORE always, and in other ways where they are named.

    Attributes:
        address: Of this machine, to listen on; 0.0.0.0 for all of them.
        port: 104 is DICOM's own, which only root may take.
        ae_title: How senders have to call this gateway.
        senders: Those who may send; none named: everybody who reaches the address.
        processes: That receive, on a core each.
        max_associations: At the same time. One more is rejected for the moment. An eighth of them
            is kept for senders that have no association yet.
        max_associations_per_sender: Of one AE title, and of one address; None: half of
            max_associations.
        max_instance_mb: A larger instance ends its association.
        request_seconds: How long a connection may take to ask for an association.
        pdu_seconds: How long a sender may take for one PDU, and for taking an answer. A PDU has at
            most 128 kB.
        idle_seconds: How long an association may be silent.
        keep_free_gb: With less on the disk, instances are refused as "out of resources", which
            senders try again.
        tls: How connections are encrypted; None: they are not.
        stow: Whether and how studies come in by STOW-RS; None: they do not.
        folders: That are watched.
        orthancs: That are asked.
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
        """How many associations a sender may have at the same time."""
        return self.max_associations_per_sender or max(1, self.max_associations // 2)

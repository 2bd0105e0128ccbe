"""What gateway.yaml says, section by section; the defaults are safe on a machine of one's own."""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    HttpUrl,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from totalmap.settings import Pattern
from totalmap.settings_file import Section, read_sections, validated

# PS3.5 6.2, VR AE: 16 characters of the default repertoire; no backslash, no control characters.
AeTitle = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$"),
]

Port = Annotated[int, Field(ge=1, le=65535)]


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


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
    port: Annotated[int, Field(ge=0, le=65535)] = 8043
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
        sender: By what name goes what comes from it, for rules and for `sender` as a destination.
    """

    url: HttpUrl
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    poll_seconds: PositiveFloat = 10.0
    modalities: tuple[str, ...] = ("CT",)
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
        max_associations: At the same time. One more is turned away and may come again.
        max_instance_mb: A larger instance ends its association.
        request_seconds: How long a connection may take to ask for an association.
        idle_seconds: How long an association may be silent.
        keep_free_gb: With less on the disk, instances are refused as "out of resources", which
            senders try again.
        tls: How connections are encrypted; None: they are not.
        stow: Whether and how studies come in by STOW-RS; None: they do not.
        folders: That are watched.
        orthancs: That are asked.
    """

    address: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    ae_title: AeTitle = "TOTALMAP"
    senders: tuple[SenderSection, ...] = ()
    processes: Annotated[int, Field(ge=1, le=64)] = 2
    max_associations: PositiveInt = 64
    max_instance_mb: PositiveFloat = 4096.0
    request_seconds: PositiveFloat = 3.0
    idle_seconds: PositiveFloat = 60.0
    keep_free_gb: Annotated[float, Field(ge=0)] = 2.0
    tls: TlsSection | None = None
    stow: StowReceiveSection | None = None
    folders: tuple[WatchedFolderSection, ...] = ()
    orthancs: tuple[OrthancSection, ...] = ()


class CompleteSection(Section):
    """When a study is taken to be complete.

    Attributes:
        quiet_seconds: After all senders of it have released their associations.
        quiet_unreleased_seconds: After its last instance, where one has not, or was cut off, or
            the source has more.
        source: The destination that is asked how many instances a study has there, by C-FIND or
            QIDO-RS; with all of them it is complete at once. None: nobody is asked.
        ask_seconds: Between two questions after the same study.
    """

    quiet_seconds: PositiveFloat = 5.0
    quiet_unreleased_seconds: PositiveFloat = 60.0
    source: Name | None = None
    ask_seconds: PositiveFloat = 3.0


# Where results go that go back to whoever sent the study.
SENDER = "sender"


class RuleSection(Section):
    """Which studies are segmented, how, and where the results go; every rule that fits applies.

    What is wanted of a study is wanted of one of its series; an empty list wants nothing.

    Attributes:
        name: Shown with every job of the rule.
        senders: AE titles, or what else names who sent it.
        modalities: Such as CT.
        body_parts: Regular expressions, found anywhere in Body Part Examined.
        descriptions: Regular expressions, found in the description of the study or the series.
        min_instances: Images; fewer are no study worth a job.
        urgent: Whether its jobs start before all that are not.
        application: Sections of app.yaml, laid over `work.settings_file`.
        destinations: By name; `sender` is the destination whose AE title sent the study.
    """

    name: Name = "ct"
    senders: tuple[AeTitle, ...] = ()
    modalities: tuple[str, ...] = ("CT",)
    body_parts: tuple[Pattern, ...] = ()
    descriptions: tuple[Pattern, ...] = ()
    min_instances: PositiveInt = 1
    urgent: bool = False
    application: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    destinations: tuple[str, ...] = ()


class DicomDestination(Section):
    """A DICOM node that takes results by C-STORE.

    Attributes:
        ae_title: How it is called.
        calling_ae_title: How this gateway calls itself.
        connect_seconds: How long to wait for a connection, and for each answer.
        storage_commitment: Whether to ask it for a promise to keep what it got (PS3.4 J). Where
            receive.senders are named it has to be one of them, for it may promise later.
        ca_file: PEM, of those who vouch for it; None: no encryption.
        certificate_file: PEM, this gateway's, where it wants to see one; with key_file.
    """

    ae_title: AeTitle
    address: str
    port: Port = 104
    calling_ae_title: AeTitle = "TOTALMAP"
    connect_seconds: PositiveFloat = 30.0
    storage_commitment: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


class StowDestination(Section):
    """A DICOMweb server that takes results by STOW-RS (PS3.18 10.5).

    Attributes:
        url: Of the service, to which `/studies` is added.
        user: With password_file, for basic authentication.
        password_file: Whose first line is the password.
        token_file: Whose first line is sent as a bearer token.
        ca_file: PEM, of those who vouch for the server; None: the usual authorities.
        connect_seconds: How long to wait for a connection, and for each answer.
    """

    url: HttpUrl
    user: str | None = None
    password_file: Path | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    connect_seconds: PositiveFloat = 30.0


class DestinationSection(Section):
    """Where results go; it is either `dicom` or `stow`.

    Attributes:
        kinds: Of results, as in `results.kinds` of app.yaml; empty: all that are DICOM.
    """

    name: Name
    dicom: DicomDestination | None = None
    stow: StowDestination | None = None
    kinds: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.dicom is None) == (self.stow is None):
            raise ValueError(f"destination {self.name} needs either dicom or stow")
        if self.name == SENDER:
            raise ValueError(f"no destination can be called {SENDER}")
        return self

    @property
    def asks_for_commitment(self) -> bool:
        """Whether it is asked for a promise to keep what it got."""
        return self.dicom is not None and self.dicom.storage_commitment


class DeliverSection(Section):
    """How often a destination is tried that does not take results.

    Attributes:
        first_retry_seconds: After the first failure; each further wait is twice as long.
        longest_retry_seconds: The longest wait.
        give_up_days: After so long a delivery is dead, until somebody retries it.
        at_once: Deliveries to one destination at the same time.
    """

    first_retry_seconds: PositiveFloat = 10.0
    longest_retry_seconds: PositiveFloat = 600.0
    give_up_days: PositiveFloat = 7.0
    at_once: PositiveInt = 2


WorkDevice = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:[0-9]{1,2})?)$")]


class RunnerKind(StrEnum):
    """What segments: the application in the worker's own process, kept warm, or the MAP's image."""

    WARM = "warm"
    CONTAINER = "container"


class ContainerSection(Section):
    """The MAP's image, for `runner: container`.

    Attributes:
        docker: The command; podman takes the same arguments.
        memory_gb: The limit of the container.
        gpus: As Docker's --gpus, such as 1; None: no GPU.
    """

    image: str = "totalmap"
    docker: str = "docker"
    memory_gb: PositiveFloat = 8.0
    gpus: str | None = None


class WorkSection(Section):
    """How studies are segmented.

    Attributes:
        settings_file: The application's app.yaml.
        models_folder: With TotalSegmentator's weights.
        devices: One worker for each: auto, cpu, cuda, or cuda:N for the GPU of number N.
        time_out_minutes: A job that takes longer is stopped and dead.
        attempts: How often a job is begun that ends its worker, or for which the machine was
            too small; then it is dead.
        retry_seconds: Before a job is begun again for which the machine was too small.
        stop_seconds: How long a job may go on when the gateway is told to stop; then it is begun
            again at the next start.
    """

    runner: RunnerKind = RunnerKind.WARM
    container: ContainerSection = ContainerSection()
    settings_file: Path | None = None
    models_folder: Path | None = None
    devices: tuple[WorkDevice, ...] = Field(default=("auto",), min_length=1)
    time_out_minutes: PositiveFloat = 60.0
    attempts: PositiveInt = 3
    retry_seconds: PositiveFloat = 60.0
    stop_seconds: PositiveFloat = 20.0


class WebSection(Section):
    """The page, and for other programs /metrics and /health.

    Attributes:
        address: Of this machine, to listen on.
        port: 0 takes one that is free.
        user_header: In which a reverse proxy names the user that it has let in, such as
            X-Remote-User; None: users log in here.
        proxies: Where the header is believed from, and X-Forwarded-For and X-Forwarded-Proto.
        session_minutes: How long a user may be idle.
        certificate_file: PEM, this gateway's, for HTTPS; with key_file.
    """

    address: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    user_header: str | None = None
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    session_minutes: PositiveFloat = 30.0
    certificate_file: Path | None = None
    key_file: Path | None = None


class SyslogSection(Section):
    """A collector of audit messages: by TLS (PS3.15 A.6), UDP (PS3.15 A.7), or plain TCP.

    Attributes:
        host: Its name, as in its certificate, or its address.
        port: 6514 is usual for TLS.
        protocol: Only TCP and TLS notice that the collector is away.
        ca_file: PEM, of those who vouch for it; None: the usual authorities.
        certificate_file: PEM, this gateway's, where it wants to see one; with key_file.
        time_out_seconds: How long to wait for it.
        retry_seconds: How long to leave it alone after it did not take a message.
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
    """Where audit messages (PS3.15 A.5) go.

    Attributes:
        file: One message a line; None: no file. It holds Patient IDs, as the standard wants it.
        syslog: A collector; None: none.
    """

    file: Path | None = None
    syslog: SyslogSection | None = None


class RetentionSection(Section):
    """What is deleted, and when: never before every destination has its results.

    Where a destination is asked for storage commitment, never before it has committed itself.

    Attributes:
        sources_days: After the last delivery; None: sources stay.
        results_days: The same for results.
        failed_days: For all of a study whose job is dead or was cancelled; None: it stays.
    """

    sources_days: Annotated[float, Field(ge=0)] | None = None
    results_days: Annotated[float, Field(ge=0)] | None = None
    failed_days: Annotated[float, Field(ge=0)] | None = None


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
    rules: tuple[RuleSection, ...] = Field(default=(RuleSection(),), min_length=1)
    destinations: tuple[DestinationSection, ...] = ()
    work: WorkSection = WorkSection()
    deliver: DeliverSection = DeliverSection()
    web: WebSection = WebSection()
    audit: AuditSection = AuditSection()
    retention: RetentionSection = RetentionSection()

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for kind in ("rules", "destinations"):
            names = [one.name for one in getattr(self, kind)]
            if len(set(names)) < len(names):
                raise ValueError(f"two {kind} have the same name")
        known = {SENDER, *(one.name for one in self.destinations)}
        if self.complete.source is not None and self.destination(self.complete.source) is None:
            raise ValueError(f"complete.source: there is no destination {self.complete.source}")
        for rule in self.rules:
            for name in rule.destinations:
                if name not in known:
                    raise ValueError(f"rule {rule.name}: there is no destination {name}")
        return self

    def destination(self, name: str) -> DestinationSection | None:
        """Returns a destination by its name."""
        return next((one for one in self.destinations if one.name == name), None)


def load_gateway_settings(path: Path | None) -> GatewaySettings:
    """Reads gateway.yaml; None: the defaults.

    Raises:
        ConfigError: The file is missing or is not YAML, a section or key is not known, or a value
            is out of range.
    """
    if path is None:
        return GatewaySettings()
    return validated(GatewaySettings, read_sections(path), path)

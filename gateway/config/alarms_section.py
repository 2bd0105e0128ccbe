"""The `alarms` section: when operators are told of a fault, and by which ways."""

from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, HttpUrl, PositiveFloat, PositiveInt, StringConstraints, model_validator

from gateway.config.value_types import Name, Port, is_this_machine
from totalmap.settings_file import Section


class AlarmKind(StrEnum):
    """The kind of a fault of which operators are told."""

    JOB_DEAD = "job_dead"
    RESULTS_HELD = "results_held"
    STUDY_HELD = "study_held"
    DELIVERY_DEAD = "delivery_dead"
    DESTINATION_AWAY = "destination_away"
    DISK_SHORT = "disk_short"
    WORKER_LOST = "worker_lost"
    PROCESS_RESTARTS = "process_restarts"
    CERTIFICATE_EXPIRES = "certificate_expires"
    CLOCK_JUMPED = "clock_jumped"
    LEDGER_FAILS = "ledger_fails"


class MailEncryption(StrEnum):
    """How a connection to a mail server is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


# The name of the way that sends e-mails.
EMAIL = "email"
# RFC 6409, RFC 8314 and RFC 5321.
_MAIL_PORTS = MappingProxyType(
    {MailEncryption.STARTTLS: 587, MailEncryption.TLS: 465, MailEncryption.NONE: 25}
)
# One address and no line break, which would end the header (RFC 5322 3.4.1).
MailAddress = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$")
]


class EmailSection(Section):
    """The mail server that takes alarms, and who gets them.

    Attributes:
        host: Its host name, as in its certificate.
        port: None: 587 for `starttls`, 465 for `tls`, 25 for `none`.
        encryption: `starttls`, `tls` from the first byte, or `none`. The certificate of the server
            is always checked.
        ca_file: PEM, with the authorities of its certificate; None: the usual authorities.
        user: With password_file, to log in; None: no log-in.
        password_file: A file whose first line is the password.
        sender: The address from which alarms come.
        recipients: The addresses that get them.
        kinds: The kinds of alarms that are sent to them; empty: all.
        time_out_seconds: How long to wait for each answer of the server.
    """

    host: Annotated[str, StringConstraints(min_length=1)]
    port: Port | None = None
    encryption: MailEncryption = MailEncryption.STARTTLS
    ca_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    sender: MailAddress
    recipients: Annotated[tuple[MailAddress, ...], Field(min_length=1)]
    kinds: tuple[AlarmKind, ...] = ()
    time_out_seconds: PositiveFloat = 10.0

    @model_validator(mode="after")
    def _log_in_is_safe(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file need each other")
        if self.user is not None and self.encryption is MailEncryption.NONE:
            raise ValueError("a password is sent only with encryption: starttls or tls")
        return self

    @property
    def port_or_usual(self) -> int:
        """The port to connect to."""
        return self.port or _MAIL_PORTS[self.encryption]


class WebhookSection(Section):
    """A server that gets each message of alarms by an HTTPS POST of JSON.

    Attributes:
        name: The name of the webhook, for the log and the metrics.
        url: Its URL, with https; http only for this machine.
        secret_file: A file whose first line is the secret with which messages are signed.
        ca_file: PEM, with the authorities of its certificate; None: the usual authorities.
        kinds: The kinds of alarms that are sent to it; empty: all.
        time_out_seconds: How long to wait for its answer.
    """

    name: Name
    url: HttpUrl = Field(repr=False)  # it may hold a secret
    secret_file: Path
    ca_file: Path | None = None
    kinds: tuple[AlarmKind, ...] = ()
    time_out_seconds: PositiveFloat = 10.0

    @property
    def way_name(self) -> str:
        """How messages, the log and the metrics name it."""
        return f"webhook {self.name}"

    @model_validator(mode="after")
    def _is_encrypted(self) -> Self:
        if self.url.scheme != "https" and not is_this_machine(self.url.host or ""):
            raise ValueError("url has to begin with https, except for this machine")
        return self


class AlarmsSection(Section):
    """Alarms: of which faults operators are told, by which ways, and how often.

    Attributes:
        email: How alarms are sent by e-mail; None: they are not.
        webhooks: Servers that get them by HTTPS.
        digest_minutes: The first alarm of a kind is sent at once. Others of the same kind within so
            many minutes are gathered into one message.
        disk_gb: An alarm if the disk of the storage folder has less free space; None: twice
            `receive.keep_free_gb`.
        certificate_days: An alarm if a certificate of the settings expires within so many days.
        restarts: An alarm if a process is restarted so often within ten minutes.
        first_retry_seconds: The wait after a message was not taken for the first time; each further
            wait is twice as long.
        longest_retry_seconds: The longest wait.
        give_up_days: After so many days a message is given up.
    """

    email: EmailSection | None = None
    webhooks: tuple[WebhookSection, ...] = ()
    digest_minutes: PositiveFloat = 60.0
    disk_gb: PositiveFloat | None = None
    certificate_days: PositiveFloat = 30.0
    restarts: PositiveInt = 3
    first_retry_seconds: PositiveFloat = 30.0
    longest_retry_seconds: PositiveFloat = 3600.0
    give_up_days: PositiveFloat = 7.0

    @property
    def way_names(self) -> tuple[str, ...]:
        """The names of all ways by which alarms are sent."""
        email = () if self.email is None else (EMAIL,)
        return (*email, *(webhook.way_name for webhook in self.webhooks))

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [webhook.name for webhook in self.webhooks]
        if len(set(names)) < len(names):
            raise ValueError("two webhooks have the same name")
        return self

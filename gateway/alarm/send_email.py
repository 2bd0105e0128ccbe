"""Sends messages about alarms by e-mail (SMTP, RFC 5321), encrypted by STARTTLS or TLS."""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from gateway.alarm.message_text import OutgoingMessage
from gateway.config import EMAIL, EmailSection, MailEncryption
from gateway.config.named_files import read_secret, tls_context_of_client
from totalmap.errors import ConfigError, ResourceError
from totalmap.log import get_logger

log = get_logger()


class EmailSender:
    """A mail server that takes messages about alarms."""

    name = EMAIL

    def __init__(self, settings: EmailSection, host: str) -> None:
        """Does not connect yet.

        Args:
            settings: The server, its recipients and the log-in.
            host: The name of this machine.

        Raises:
            ConfigError: The file of authorities or of the password can't be used.
        """
        self.kinds = settings.kinds
        self._settings = settings
        self._host = host
        is_encrypted = settings.encryption is not MailEncryption.NONE
        self._tls = (
            tls_context_of_client(settings.ca_file, "alarms.email") if is_encrypted else None
        )
        self._password()

    @property
    def goal(self) -> str:
        """Where messages go, for people."""
        settings = self._settings
        n = len(settings.recipients)
        return f"{self._address} for {n} recipient{'s' if n > 1 else ''}"

    def send(self, message: OutgoingMessage) -> None:
        """Returns when the server has taken a message for at least one recipient.

        Raises:
            ResourceError: It was not taken; with the reason.
        """
        with self._failures(), self._logged_in() as server:
            refused = server.send_message(self._email(message))
            if refused:
                log.warning("alarm_recipients_refused", way=self.name, refused=len(refused))

    def try_to_log_in(self) -> None:
        """Connects and logs in, without sending anything.

        Raises:
            ResourceError: The server does not answer or does not let the gateway in.
        """
        with self._failures(), self._logged_in() as server:
            server.noop()

    @property
    def _address(self) -> str:
        return f"{self._settings.host}:{self._settings.port_or_usual}"

    def _password(self) -> str | None:
        file = self._settings.password_file
        return None if file is None else read_secret(file, "alarms.email.password_file")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, smtplib.SMTPException, ConfigError, UnicodeError) as error:
            raise ResourceError(
                f"the mail server {self._address} does not take messages: {_reason(error)}"
            ) from None

    @contextmanager
    def _logged_in(self) -> Iterator[smtplib.SMTP]:
        settings = self._settings
        server = self._connected()
        try:
            if settings.encryption is MailEncryption.STARTTLS:
                server.starttls(context=self._tls)  # fails if the server does not offer it
            if settings.user is not None:
                server.login(settings.user, self._password() or "")
            yield server
            # The message is taken already: a server that fails now does not change that.
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
        finally:
            server.close()

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        host, port, seconds = settings.host, settings.port_or_usual, settings.time_out_seconds
        if settings.encryption is MailEncryption.TLS:
            return smtplib.SMTP_SSL(host, port, self._host, timeout=seconds, context=self._tls)
        return smtplib.SMTP(host, port, self._host, timeout=seconds)

    def _email(self, message: OutgoingMessage) -> EmailMessage:
        settings = self._settings
        email = EmailMessage()
        email["From"] = settings.sender
        email["To"] = ", ".join(settings.recipients)
        email["Subject"] = message.summary
        email["Date"] = format_datetime(datetime.fromtimestamp(message.created_at, UTC))
        # The same at each attempt, so that a message that arrives twice is recognised.
        email["Message-ID"] = f"<{message.uid}@{settings.sender.rpartition('@')[2]}>"
        email["Auto-Submitted"] = "auto-generated"  # RFC 3834: no reply from a machine
        email.set_content(message.body, cte="quoted-printable")
        return email


def _reason(error: Exception) -> str:
    """Returns why the server did not take a message; its words may quote addresses."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it refuses the user and the password (status {error.smtp_code})"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answers with status {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({str(code) for code, _ in error.recipients.values()})
        return f"it refuses all recipients (status {', '.join(codes)})"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "it does not answer, or has closed the connection"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "it does not offer STARTTLS or the log-in"
    return str(error) or type(error).__name__

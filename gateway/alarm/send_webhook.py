"""Sends messages about alarms to a webhook: a signed POST of JSON over HTTPS.

The signature is that of Standard Webhooks (standardwebhooks.com): HMAC-SHA256 of the message's ID,
the time of the attempt and the body, so that a receiver can refuse what is forged or old.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time

import httpx

from gateway.alarm.message_text import OutgoingMessage
from gateway.config import WebhookSection
from gateway.config.named_files import read_secret, tls_context_of_client
from totalmap.errors import ConfigError, ResourceError

# Standard Webhooks: a secret with this beginning is in Base64.
_SECRET_PREFIX = "whsec_"  # noqa: S105


class WebhookSender:
    """A server that takes messages about alarms by HTTPS."""

    def __init__(self, settings: WebhookSection) -> None:
        """Does not connect yet.

        Args:
            settings: The server and the secret.

        Raises:
            ConfigError: The file of authorities or of the secret can't be used.
        """
        self.name = settings.way_name
        self.kinds = settings.kinds
        self._settings = settings
        self._tls = tls_context_of_client(settings.ca_file, "alarms.webhooks")
        self._secret()

    @property
    def goal(self) -> str:
        """Where messages go, for people; without the path of the URL, which may be a secret."""
        return f"{self._settings.url.host}:{self._settings.url.port}"

    def send(self, message: OutgoingMessage) -> None:
        """Returns when the server has taken a message, which it says by a status of 2xx.

        Raises:
            ResourceError: It was not taken; with the reason.
        """
        body = json.dumps(message.document).encode()
        try:
            headers = _signed(message.uid, int(time.time()), body, self._secret())
            with (
                httpx.Client(
                    verify=self._tls, timeout=self._settings.time_out_seconds, trust_env=False
                ) as client,
                client.stream(
                    "POST", str(self._settings.url), content=body, headers=headers
                ) as answer,
            ):
                status = answer.status_code
        except (httpx.HTTPError, ConfigError) as error:
            reason = str(error) or type(error).__name__
            raise self._failure(reason) from None
        if not httpx.codes.is_success(status):
            raise self._failure(f"it answers with HTTP {status}")

    def _failure(self, reason: str) -> ResourceError:
        return ResourceError(f"the {self.name} at {self.goal} does not take messages: {reason}")

    def _secret(self) -> bytes:
        """Returns the secret.

        Raises:
            ConfigError: Its file can't be read, or its Base64 is broken.
        """
        setting = f"alarms.webhooks.secret_file of {self._settings.name}"
        text = read_secret(self._settings.secret_file, setting)
        if not text.startswith(_SECRET_PREFIX):
            return text.encode()
        try:
            return base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
        except binascii.Error:
            raise ConfigError(
                f"{setting}: a secret that begins with {_SECRET_PREFIX} goes on in Base64"
            ) from None


def _signed(uid: str, timestamp: int, body: bytes, secret: bytes) -> dict[str, str]:
    """Returns the headers of a request, with its signature."""
    signed = f"{uid}.{timestamp}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "TotalMAP",
        "webhook-id": uid,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }

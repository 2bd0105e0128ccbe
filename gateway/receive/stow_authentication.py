"""Who may send by HTTP: passwords, tokens, and those who try too many."""

import base64
from hmac import compare_digest

from gateway.config import StowReceiveSection
from gateway.config.named_files import read_secret
from gateway.login_attempts import FAILURES, WITHIN_SECONDS, LoginAttempts
from totalmap.errors import TotalMapError

ANONYMOUS = "STOW-RS"


class NotAllowed(TotalMapError):
    """Whoever asks has not said who it is, or not rightly."""


class TooManyFailures(TotalMapError):
    """From an address came so many wrong passwords that none is looked at any more."""


class StowAuthenticator:
    """Lets those in who know the password or the token."""

    def __init__(self, settings: StowReceiveSection) -> None:
        """Reads the secrets.

        Raises:
            ConfigError: A file can't be read or is empty.
        """
        self._user = settings.user
        self._secrets: dict[str, bytes] = {}
        if settings.user is not None and settings.password_file is not None:
            password = read_secret(settings.password_file, "receive.stow.password_file")
            secret = f"{settings.user}:{password}"
            self._secrets["basic"] = base64.b64encode(secret.encode())
        if settings.token_file is not None:
            token = read_secret(settings.token_file, "receive.stow.token_file")
            self._secrets["bearer"] = token.encode()
        self._attempts = LoginAttempts()

    @property
    def challenge(self) -> str:
        """What to ask for (RFC 9110 11.6.1)."""
        return ", ".join(f'{scheme.capitalize()} realm="TotalMAP"' for scheme in self._secrets)

    def sender(self, address: str, authorization: str | None) -> str:
        """Returns by what name goes what comes from an address.

        Args:
            address: Of whoever asks.
            authorization: The header; None: there is none.

        Raises:
            NotAllowed: It is not the right one.
            TooManyFailures: It is not looked at, even if it were.
        """
        if not self._secrets:
            return ANONYMOUS
        if authorization is None:
            raise NotAllowed("no password or token")
        if not self._attempts.begin(address):
            raise TooManyFailures(f"{FAILURES} wrong passwords or tokens in {WITHIN_SECONDS:g} s")
        scheme, _, given = authorization.partition(" ")
        secret = self._secrets.get(scheme.lower())
        if secret is None or not compare_digest(given.strip().encode(), secret):
            raise NotAllowed("a wrong password or token")
        self._attempts.succeeded(address)
        return self._user or ANONYMOUS if scheme.lower() == "basic" else ANONYMOUS

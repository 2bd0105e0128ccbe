"""The page: where it is, and who may see it."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from pydantic import PositiveFloat

from gateway.config.values import ListeningPort
from totalmap.settings_file import Section


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
    port: ListeningPort = 8080
    user_header: str | None = None
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    session_minutes: PositiveFloat = 30.0
    certificate_file: Path | None = None
    key_file: Path | None = None

"""The `web` section: where the page is, and who may see it."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from pydantic import HttpUrl, PositiveFloat

from gateway.config.value_types import ListeningPort
from totalmap.settings_file import Section


class WebSection(Section):
    """The page, and /metrics and /health for other programs.

    Attributes:
        address: The address of this machine to listen on.
        port: The port to listen on; 0: any free port.
        public_url: The URL by which users reach the page, for links in messages, such as
            https://totalmap.hospital.example; None: messages have no links.
        user_header: The header in which a reverse proxy names the user that it has let in, such as
            X-Remote-User; None: users log in here.
        proxies: The networks from which user_header, X-Forwarded-For and X-Forwarded-Proto are
            trusted.
        session_minutes: A user who is idle for longer is logged out.
        certificate_file: PEM, the gateway's certificate for HTTPS; with key_file.
    """

    address: str = "127.0.0.1"
    port: ListeningPort = 8080
    public_url: HttpUrl | None = None
    user_header: str | None = None
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    session_minutes: PositiveFloat = 30.0
    certificate_file: Path | None = None
    key_file: Path | None = None

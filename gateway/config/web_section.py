"""The `web` section: where the page is, and who may see it."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from gateway.config.roles import Role
from gateway.config.value_types import ListeningPort, is_this_machine
from totalmap.settings_file import Section
from totalmap.texts.catalogue import Language


def _server_url(url: str) -> str:
    """Returns the URL of a server without a slash at its end.

    Raises:
        ValueError: It is not one.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    is_server = parts.scheme in ("http", "https") and bool(parts.hostname)
    if not is_server or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("it has to be a URL such as https://login.hospital.example")
    return url.rstrip("/")


def _safe_url(url: str) -> str:
    """Returns a URL to which secrets may be sent.

    Raises:
        ValueError: They would be sent to another machine without encryption.
    """
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_this_machine(parts.hostname or ""):
        raise ValueError("it has to begin with https://")
    return url


ServerUrl = Annotated[str, AfterValidator(_server_url)]
SafeUrl = Annotated[ServerUrl, AfterValidator(_safe_url)]


# Schemes that run scripts in the page.
_SCRIPT_SCHEMES = ("javascript", "data", "vbscript")
STUDY_UID_PLACE = "{study_instance_uid}"


def _viewer_url(url: str) -> str:
    """Returns the URL of another viewer, with a place for the study.

    Raises:
        ValueError: It is not one.
    """
    scheme, separator, _ = url.partition(":")
    if not separator or not scheme.isalnum() or scheme.lower() in _SCRIPT_SCHEMES:
        raise ValueError("it has to begin with https:// or the scheme of a program")
    if url.count(STUDY_UID_PLACE) != 1:
        raise ValueError(f"{STUDY_UID_PLACE} has to stand in it once")
    return url


ViewerUrl = Annotated[str, AfterValidator(_viewer_url)]


class OidcSection(Section):
    """A login by OpenID Connect: the code flow with PKCE, and discovery.

    The provider has to allow `web.public_url` with /login/oidc added as a redirect URI.

    Attributes:
        issuer: The URL of the provider, to which /.well-known/openid-configuration is added.
        client_id: The name by which the provider knows the gateway.
        client_secret_file: A file whose first line is the secret of the client; None: it has none.
        label: How the login page names the provider; None: the hospital's portal.
        scopes: What the gateway asks for; openid is always one of them.
        name_claim: The claim of the ID token that names the user.
        role_claim: The claim with a role or a list of roles; a dot leads into an object, as in
            realm_access.roles.
        ca_file: PEM, with the authorities of the provider's certificate; None: the usual ones.
        connect_seconds: How long to wait for a connection, and for each response.
    """

    issuer: SafeUrl
    client_id: str
    client_secret_file: Path | None = None
    label: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: str = "preferred_username"
    role_claim: str = "groups"
    ca_file: Path | None = None
    connect_seconds: PositiveFloat = 5.0


class WebSection(Section):
    """The page, and /metrics and /health for other programs.

    Attributes:
        language: The language of the page: English (en) or German (de). Errors, the command line,
            the log, messages and audit records are English.
        address: The address of this machine to listen on.
        port: The port to listen on; 0: any free port.
        public_url: The URL by which users reach the page, such as
            https://totalmap.hospital.example; oidc needs it. None: messages have no links.
        viewer_url: The address of the site's own viewer, to which the pages link, such as
            https://pacs.hospital.example/viewer?StudyInstanceUIDs={study_instance_uid}; None: there
            is no link.
        user_header: The header in which a reverse proxy names the user that it has let in, such as
            X-Remote-User; None: users log in here.
        role_header: The header in which the reverse proxy names the user's roles or groups,
            separated by commas, such as X-Remote-Groups; None: each user has proxy_role.
        proxy_role: The role of users of the reverse proxy where role_header is not set.
        proxies: The networks from which user_header, role_header, X-Forwarded-For and
            X-Forwarded-Proto are trusted.
        oidc: The login by OpenID Connect, besides that of local accounts; None: there is none.
        roles: The role of each value of role_header or oidc.role_claim; of several roles the
            highest counts. Empty: the values are the names of roles.
        session_minutes: A user who is idle for longer is logged out.
        session_hours: A user is logged out so long after logging in, also one who is not idle.
        certificate_file: PEM, the gateway's certificate for HTTPS; with key_file.
    """

    language: Language = Language.ENGLISH
    address: str = "127.0.0.1"
    port: ListeningPort = 8080
    public_url: ServerUrl | None = None
    viewer_url: ViewerUrl | None = None
    user_header: str | None = None
    role_header: str | None = None
    proxy_role: Role = Role.VIEWER
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    oidc: OidcSection | None = None
    roles: Mapping[str, Role] = Field(default_factory=dict)
    session_minutes: PositiveFloat = 30.0
    session_hours: PositiveFloat = 12.0
    certificate_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if self.user_header is not None and self.oidc is not None:
            raise ValueError("user_header and oidc can't both be set")
        if self.oidc is not None:
            if self.public_url is None:
                raise ValueError("oidc needs public_url, to which the provider sends users back")
            _safe_url(self.public_url)
        if self.role_header is not None and self.user_header is None:
            raise ValueError("role_header needs user_header")
        return self

    def viewer_of(self, study_instance_uid: str) -> str | None:
        """Returns the address of a study in the site's own viewer; None: there is none."""
        if self.viewer_url is None:
            return None
        return self.viewer_url.replace(STUDY_UID_PLACE, quote(study_instance_uid, safe=""))

    def role_of(self, values: Iterable[str]) -> Role | None:
        """Returns the highest of the roles that values of a header or claim mean; None: none."""
        known = self.roles or {role.value: role for role in Role}
        found = [known[value] for value in values if value in known]
        return max(found, key=lambda role: role.rank, default=None)

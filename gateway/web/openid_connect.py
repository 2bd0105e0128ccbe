"""Logs users in by a provider of OpenID Connect: the code flow with PKCE (RFC 7636), discovery."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from gateway.config import OidcSection
from gateway.config.named_files import read_secret, tls_context_of_client
from gateway.web.authentication import LoginRefused
from gateway.web.openid_claims import Claims, ProvidedUser, name_in, roles_in
from totalmap.log import get_logger
from totalmap.texts.catalogue import Message

CALLBACK_PATH = "/login/oidc"
METADATA_PATH = "/.well-known/openid-configuration"
# How long what the provider says about itself is used.
CACHE_SECONDS = 3600.0
# How far the clock of the provider may be off.
LEEWAY_SECONDS = 60
# The signatures that are accepted; none of them uses a secret that both sides know.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_STATE_BYTES = 32
_KEY_BYTES = 32
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_SUBJECT_CHARACTERS = 255
_OUT_OF_DATE = Message("login.login_out_of_date")

log = get_logger()


class ProviderAway(Exception):
    """The provider does not answer, or not as OpenID Connect demands; the text says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Provider:
    """What the provider says about itself.

    Attributes:
        metadata: Its document of discovery.
        keys: With which it signs.
        read_at: On the clock of the client.
    """

    metadata: Mapping[str, Any]
    keys: KeySet
    read_at: float


class OpenIdConnect:
    """A client of one provider; safe to use from many threads.

    It keeps nothing of a login: the nonce and the code verifier follow from the state, which the
    browser keeps in a cookie, and from a key of this process.
    """

    def __init__(
        self,
        settings: OidcSection,
        public_url: str,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads the files that the settings name; asks the provider nothing yet.

        Args:
            settings: The `web.oidc` section.
            public_url: The URL by which browsers reach the page.
            now_seconds: A clock that is never set.

        Raises:
            ConfigError: The secret or the authorities can't be read.
        """
        self._settings = settings
        self._public_url = public_url
        self._now_seconds = now_seconds
        self._key = secrets.token_bytes(_KEY_BYTES)
        file = settings.client_secret_file
        self._secret = read_secret(file, "web.oidc.client_secret_file") if file else None
        self._trust = tls_context_of_client(settings.ca_file, "web.oidc")
        self._provider: _Provider | None = None

    @property
    def redirect_url(self) -> str:
        """The URL to which the provider sends browsers back."""
        return f"{self._public_url}{CALLBACK_PATH}"

    @property
    def name(self) -> str:
        """The name of the provider within a sentence."""
        return self._settings.label or Message("login.portal")

    @property
    def label(self) -> str:
        """The name of the provider at the beginning of a sentence."""
        label = self._settings.label
        return label[:1].upper() + label[1:] if label else Message("login.portal_first")

    def begin(self) -> tuple[str, str]:
        """Begins a login; returns the URL of the provider's page, and the state for the cookie.

        Raises:
            ProviderAway: The provider does not answer.
        """
        state = secrets.token_urlsafe(_STATE_BYTES)
        url: str = prepare_grant_uri(
            self._provider_now().metadata["authorization_endpoint"],
            self._settings.client_id,
            "code",
            redirect_uri=self.redirect_url,
            scope=" ".join(dict.fromkeys(("openid", *self._settings.scopes))),
            state=state,
            nonce=self._derived("nonce", state),
            code_challenge=create_s256_code_challenge(self._derived("verifier", state)),
            code_challenge_method="S256",
        )
        return url, state

    def finish(self, query: Mapping[str, str], state: str) -> ProvidedUser:
        """Returns the user whom the provider has sent back with a code.

        Args:
            query: Of the redirect.
            state: In the cookie of the browser; empty: it has none.

        Raises:
            ProviderAway: The provider does not answer.
            LoginRefused: The provider refuses, or the login did not begin in this browser.
        """
        if not state or not hmac.compare_digest(query.get("state", "").encode(), state.encode()):
            raise LoginRefused(_OUT_OF_DATE)
        issuer = self._provider_now().metadata["issuer"]
        if query.get("iss", issuer) != issuer:  # RFC 9207
            raise LoginRefused(Message("login.other_provider"))
        if "code" not in query:
            log.warning("oidc_login_refused", reason=_printable(query.get("error", "no code")))
            raise LoginRefused(Message("login.refused", provider=self.label))
        token = self._redeem(query["code"], self._derived("verifier", state))
        claims = self._verified(token, self._derived("nonce", state))
        claims = self._with_user_info(claims, token)
        return ProvidedUser(
            subject=_subject(claims["iss"], claims["sub"]),
            name=name_in(claims, self._settings.name_claim),
            roles=roles_in(claims, self._settings.role_claim),
        )

    def ask(self) -> None:
        """Makes sure that the provider answers.

        Raises:
            ProviderAway: It does not.
        """
        self._provider_now(is_fresh=True)

    def _derived(self, purpose: str, state: str) -> str:
        return hmac.new(self._key, f"{purpose} {state}".encode(), hashlib.sha256).hexdigest()

    def _redeem(self, code: str, verifier: str) -> Mapping[str, Any]:
        """Returns the tokens for a code (RFC 6749 4.1.3)."""
        provider = self._provider_now().metadata
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_url,
            "code_verifier": verifier,
            "client_id": self._settings.client_id,
        }
        headers: dict[str, str] = {}
        methods = provider.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if self._secret is not None and "client_secret_basic" in methods:
            pair = ":".join(
                quote(part, safe="") for part in (self._settings.client_id, self._secret)
            )
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif self._secret is not None:
            form["client_secret"] = self._secret
        answer = self._request("POST", provider["token_endpoint"], data=form, headers=headers)
        if answer.is_client_error:  # the code is wrong or was used, or the secret is wrong
            reason = _document(answer).get("error", answer.status_code)
            log.warning("oidc_login_refused", reason=_printable(str(reason)))
            raise LoginRefused(_OUT_OF_DATE)
        return _document(_good(answer))

    def _verified(self, token: Mapping[str, Any], nonce: str) -> Claims:
        """Returns the claims of an ID token (OpenID Connect Core 3.1.3.7)."""
        metadata = self._provider_now().metadata
        try:
            decoded = self._decoded(str(token.get("id_token", "")))
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": metadata["issuer"]},
                    "aud": {"essential": True, "value": self._settings.client_id},
                    "sub": {"essential": True},
                },
                params={
                    "nonce": nonce,
                    "client_id": self._settings.client_id,
                    "access_token": token.get("access_token"),
                },
            )
            claims.validate(leeway=LEEWAY_SECONDS)
            _require_name(claims["sub"])
        except (JoseError, ValueError, TypeError) as error:
            log.warning("oidc_login_refused", reason=type(error).__name__)
            raise LoginRefused(Message("login.not_valid", provider=self.label)) from None
        verified: Claims = claims
        return verified

    def _decoded(self, id_token: str) -> jwt.Token:
        try:
            return jwt.decode(id_token, self._provider_now().keys, algorithms=ALGORITHMS)
        except (InvalidKeyIdError, ValueError):  # the provider has changed its keys
            keys = self._provider_now(is_fresh=True).keys
            return jwt.decode(id_token, keys, algorithms=ALGORITHMS)

    def _with_user_info(self, claims: Claims, token: Mapping[str, Any]) -> Claims:
        """Adds what the provider says only when it is asked (OpenID Connect Core 5.3)."""
        endpoint = self._provider_now().metadata.get("userinfo_endpoint")
        wanted = (self._settings.name_claim, self._settings.role_claim)
        is_whole = name_in(claims, wanted[0]) and roles_in(claims, wanted[1])
        if is_whole or not isinstance(endpoint, str) or "access_token" not in token:
            return claims
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        found = _document(_good(self._request("GET", endpoint, headers=headers)))
        return {**found, **claims} if found.get("sub") == claims["sub"] else claims

    def _provider_now(self, *, is_fresh: bool = False) -> _Provider:
        """Returns what the provider says about itself, at most an hour old."""
        known, now = self._provider, self._now_seconds()
        if known is not None and not is_fresh and now - known.read_at < CACHE_SECONDS:
            return known
        url = f"{self._settings.issuer}{METADATA_PATH}"
        metadata = _document(_good(self._request("GET", url)))
        if str(metadata.get("issuer", "")).rstrip("/") != self._settings.issuer:
            raise ProviderAway("its issuer is not web.oidc.issuer")
        is_encrypted = self._settings.issuer.startswith("https:")
        for name in _ENDPOINTS:
            if not str(metadata.get(name, "")).startswith("https:" if is_encrypted else "http"):
                raise ProviderAway(f"its {name} is missing or not encrypted")
        document = _document(_good(self._request("GET", metadata["jwks_uri"])))
        try:
            keys = KeySet.import_key_set(_usable_keys(document))  # type: ignore[arg-type]
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderAway(f"its keys can't be read: {type(error).__name__}") from None
        self._provider = _Provider(metadata=metadata, keys=keys, read_at=now)
        return self._provider

    def _request(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        try:
            with httpx.Client(
                verify=self._trust, timeout=self._settings.connect_seconds, trust_env=False
            ) as client:
                return client.request(method, url, **arguments)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderAway(f"it does not answer: {type(error).__name__}") from None


def _good(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise ProviderAway(f"it answers with {answer.status_code}")
    return answer


def _document(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ProviderAway("its answer is not JSON")
    return document


def _usable_keys(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the keys for signatures; a provider may publish others, too."""
    keys = [
        key
        for key in document.get("keys", [])
        if key.get("kty") in ("RSA", "EC") and key.get("use", "sig") == "sig"
    ]
    return {"keys": keys}


def _subject(issuer: str, subject: str) -> str:
    """Returns the name of a user for ever, which a column of the database holds."""
    return f"{hashlib.sha256(issuer.encode()).hexdigest()} {subject}"


def _require_name(subject: object) -> None:
    """Makes sure that a subject can be stored (OpenID Connect Core 2).

    Raises:
        ValueError: It can't.
    """
    if not isinstance(subject, str) or not subject.isprintable():
        raise ValueError("sub")
    if len(subject) > _SUBJECT_CHARACTERS:
        raise ValueError("sub")


def _printable(text: str) -> str:
    return "".join(filter(str.isprintable, text))[:64]

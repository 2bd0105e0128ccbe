"""Runs a small provider of OpenID Connect, made of Authlib's server parts, over HTTPS."""

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import trustme
import uvicorn
from authlib.oauth2 import AuthorizationServer, OAuth2Request  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749 import (  # type: ignore[import-untyped]
    AuthorizationCodeMixin,
    ClientMixin,
    grants,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload  # type: ignore[import-untyped]
from authlib.oauth2.rfc6750 import BearerTokenGenerator  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import CodeChallenge  # type: ignore[import-untyped]
from authlib.oidc.core import OpenIDCode  # type: ignore[import-untyped]
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.servers import LOOPBACK, free_port
from tests.waiting import wait_until

CLIENT_ID, SECRET = "totalmap", "a secret / with: signs"
TOKEN_METHODS = ("client_secret_basic", "client_secret_post")
KEY_BITS = 2048


def new_key() -> RSAKey:
    """Returns a key for signatures."""
    return RSAKey.generate_key(KEY_BITS, {"use": "sig", "kid": secrets.token_hex(4)})


@cache
def _first_key() -> RSAKey:
    """Makes one key for all providers: it takes its time."""
    return new_key()


@dataclass
class Provider:
    """A provider that logs the same user in at once; tests may change it while it runs.

    Attributes:
        url: The issuer.
        ca_file: PEM, with the authority of its certificate.
        redirect_url: The only one that it allows.
        claims: Of the user, in ID tokens.
        user_info: Of the user, where it is asked for more; its `sub` is that of claims.
        wrong_claims: Override what an ID token has to say.
        key: With which it signs.
        published_key: That everybody may read.
        is_refusing: Whether the user does not agree.
        token_method: How the gateway has to show its secret.
    """

    url: str
    ca_file: Path
    redirect_url: str
    claims: dict[str, Any]
    user_info: dict[str, Any] = field(default_factory=dict)
    wrong_claims: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=_first_key)
    published_key: RSAKey | None = None
    is_refusing: bool = False
    token_method: str = TOKEN_METHODS[0]


class _Client(ClientMixin):
    """The gateway, as the provider knows it."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_default_redirect_uri(self) -> str:
        return self._provider.redirect_url

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self._provider.redirect_url

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == self._provider.token_method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class _Code(AuthorizationCodeMixin):
    code: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class _CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = TOKEN_METHODS

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        data = request.payload.data
        names = ("redirect_uri", "scope", "nonce", "code_challenge", "code_challenge_method")
        self.server.codes[code] = _Code(code=code, **{name: data[name] for name in names})

    def query_authorization_code(self, code: str, _client: _Client) -> _Code | None:
        found: _Code | None = self.server.codes.get(code)
        return found

    def delete_authorization_code(self, authorization_code: _Code) -> None:
        del self.server.codes[authorization_code.code]

    def authenticate_user(self, _authorization_code: _Code) -> Mapping[str, Any]:
        claims: Mapping[str, Any] = self.server.provider.claims
        return claims


class _IdToken(OpenIDCode):
    def __init__(self, provider: Provider) -> None:
        super().__init__(require_nonce=True)
        self._provider = provider

    def resolve_client_private_key(self, _client: _Client) -> RSAKey:
        return self._provider.key

    def get_client_claims(self, client: _Client) -> dict[str, Any]:
        return {"iss": self._provider.url, "aud": [client.get_client_id()]}

    def get_encode_header(self, _client: _Client) -> dict[str, Any]:
        return {"alg": "RS256", "kid": self._provider.key.kid}

    def exists_nonce(self, _nonce: str, _request: OAuth2Request) -> bool:
        return False

    def generate_user_info(self, user: Mapping[str, Any], _scope: str) -> dict[str, Any]:
        return {**user, **self._provider.wrong_claims}


class _Request(OAuth2Request):
    def __init__(self, request: Request, form: Mapping[str, str]) -> None:
        super().__init__(request.method, str(request.url), headers=request.headers)
        self._form = form
        self.payload = BasicOAuth2Payload({**request.query_params, **form})
        self._args = dict(request.query_params)

    @property
    def args(self) -> Mapping[str, str]:
        return self._args

    @property
    def form(self) -> Mapping[str, str]:
        return self._form


class _Server(AuthorizationServer):
    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider = provider
        self.codes: dict[str, _Code] = {}
        self.access_tokens: set[str] = set()
        token = BearerTokenGenerator(lambda *_, **__: secrets.token_urlsafe())
        self.register_token_generator("default", token)
        extensions = [CodeChallenge(required=True), _IdToken(provider)]
        self.register_grant(_CodeGrant, extensions)

    def query_client(self, client_id: str) -> _Client | None:
        return _Client(self.provider) if client_id == CLIENT_ID else None

    def save_token(self, token: Mapping[str, Any], _request: OAuth2Request) -> None:
        self.access_tokens.add(token["access_token"])

    def send_signal(self, *_arguments: object, **_named: object) -> None:
        return

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        if isinstance(body, dict):
            return JSONResponse(body, status, dict(headers))
        return Response(body, status, dict(headers))


def _application(provider: Provider) -> Starlette:
    server = _Server(provider)

    def metadata(_request: Request) -> Response:
        url = provider.url
        return JSONResponse(
            {
                "issuer": url,
                "authorization_endpoint": f"{url}/authorize",
                "token_endpoint": f"{url}/token",
                "userinfo_endpoint": f"{url}/userinfo",
                "jwks_uri": f"{url}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": [provider.token_method],
            }
        )

    def keys(_request: Request) -> Response:
        published = provider.published_key or provider.key
        return JSONResponse(KeySet([published]).as_dict(private=False))

    def authorize(request: Request) -> Response:
        asked = _Request(request, {})
        grant = server.get_consent_grant(asked, end_user=provider.claims)
        user = None if provider.is_refusing else provider.claims
        response: Response = server.create_authorization_response(asked, user, grant)
        return response

    async def token(request: Request) -> Response:
        async with request.form() as form:
            fields = {name: str(value) for name, value in form.items()}
        response: Response = server.create_token_response(_Request(request, fields))
        return response

    def user_info(request: Request) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if given not in server.access_tokens:
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse({"sub": provider.claims["sub"], **provider.user_info})

    endpoints = {
        "/.well-known/openid-configuration": metadata,
        "/keys": keys,
        "/authorize": authorize,
        "/userinfo": user_info,
    }
    routes = [Route(path, endpoint) for path, endpoint in endpoints.items()]
    return Starlette(routes=[*routes, Route("/token", token, methods=["POST"])])


@contextmanager
def running_provider(folder: Path, page_url: str, claims: Mapping[str, Any]) -> Iterator[Provider]:
    """Runs a provider during the block.

    Args:
        folder: For its certificate.
        page_url: Of the gateway that it knows.
        claims: Of its user.
    """
    authority = trustme.CA()
    issued = authority.issue_cert(LOOPBACK)
    certificate, ca_file = folder / "provider.pem", folder / "provider-ca.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(ca_file)
    port = free_port()
    provider = Provider(
        url=f"https://{LOOPBACK}:{port}",
        ca_file=ca_file,
        redirect_url=f"{page_url}/login/oidc",
        claims=dict(claims),
    )
    server = uvicorn.Server(
        uvicorn.Config(
            _application(provider),
            host=LOOPBACK,
            port=port,
            lifespan="off",
            log_config=None,
            ssl_certfile=certificate,
        )
    )
    thread = Thread(target=server.run, name="openid-provider")
    thread.start()
    try:
        wait_until(lambda: server.started, "the provider")
        yield provider
    finally:
        server.should_exit = True
        thread.join()

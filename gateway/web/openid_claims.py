"""Reads the name and the roles of a user from the claims of a provider of OpenID Connect."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvidedUser:
    """A user whom a provider has logged in.

    Attributes:
        subject: The issuer and the subject, which name the user for ever.
        name: Of the user, for people; it may be empty.
        roles: The values of the claim with roles or groups.
    """

    subject: str
    name: str
    roles: tuple[str, ...]


def claim(claims: Claims, name: str) -> Any:
    """Returns the value of a claim; None: there is none.

    Args:
        claims: Of the user.
        name: The name of the claim, or the way into objects, with dots.
    """
    if name in claims:
        return claims[name]
    outer, _, inner = name.partition(".")
    found = claims.get(outer)
    return claim(found, inner) if inner and isinstance(found, Mapping) else None


def name_in(claims: Claims, name_claim: str) -> str:
    """Returns the name of a user; empty: there is none."""
    found = claim(claims, name_claim)
    return found if isinstance(found, str) else ""


def roles_in(claims: Claims, role_claim: str) -> tuple[str, ...]:
    """Returns the values of the claim with roles, which is a text or a list of texts."""
    found = claim(claims, role_claim)
    values = found if isinstance(found, list) else [found]
    return tuple(value for value in values if isinstance(value, str))

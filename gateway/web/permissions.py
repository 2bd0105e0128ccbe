"""Says what each role of a user may do on the page; every route names the permission it needs."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from gateway.config import Role


class Permission(StrEnum):
    """What a user may do; the words of a refusal are in the catalogue of texts."""

    VIEW = "view"
    DECIDE_RESULTS = "decide_results"
    OPERATE = "operate"
    ADMINISTER = "administer"


_VIEWER = frozenset({Permission.VIEW})
_REVIEWER = _VIEWER | {Permission.DECIDE_RESULTS}
_OPERATOR = _REVIEWER | {Permission.OPERATE}
_ADMINISTRATOR = _OPERATOR | {Permission.ADMINISTER}

PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.VIEWER: _VIEWER,
        Role.REVIEWER: _REVIEWER,
        Role.OPERATOR: _OPERATOR,
        Role.ADMINISTRATOR: _ADMINISTRATOR,
    }
)


def may(role: Role, permission: Permission) -> bool:
    """Returns whether users of a role have a permission."""
    return permission in PERMISSIONS[role]

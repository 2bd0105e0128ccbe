"""Names the roles of the page's users."""

from enum import StrEnum


class Role(StrEnum):
    """What a user may do; each role may do all that the earlier ones may.

    The permissions of a role are in gateway/web/permissions.py.
    """

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    @property
    def rank(self) -> int:
        """The position of the role, from 0; a higher one may do more."""
        return list(Role).index(self)

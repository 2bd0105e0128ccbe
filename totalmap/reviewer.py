"""Defines the person who decides about a result."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewer:
    """A person who decided about the results of a study.

    Attributes:
        name: The name as the page knows it, such as `Dr. Eva Müller`.
        at: Time of the decision, in seconds since 1970 UTC.
        reason: The reason in the person's words; may be empty.
        uid_key: Distinguishes the decision from all others about the same results, such as the
            number of its form. UIDs of the objects that state the decision depend on it.
    """

    name: str
    at: float
    reason: str
    uid_key: str

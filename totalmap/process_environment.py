"""Reads the environment variables of this process; no other module does."""

import os
from collections.abc import Mapping


def process_environment() -> Mapping[str, str]:
    """Returns the environment of this process."""
    return os.environ


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of this process with changes, for a process that it starts."""
    return {**os.environ, **changes}

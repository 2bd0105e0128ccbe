"""Compares two readings of gateway.yaml: which sections changed, and which may not change."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gateway.config.named_files import named_files
from gateway.config.settings import GatewaySettings

# The processes, their ports and their records can't be replaced while the gateway runs.
FIXED = (
    "storage_folder",
    "ledger_url",
    "receive.address",
    "receive.port",
    "receive.stow.address",
    "receive.stow.port",
    "web.address",
    "web.port",
    "work.devices",
)


def fixed_changes(before: GatewaySettings, after: GatewaySettings) -> Sequence[str]:
    """Returns the keys that differ and can't be changed while the gateway runs."""
    return [key for key in FIXED if _value(before, key) != _value(after, key)]


def fingerprints(settings: GatewaySettings) -> Mapping[str, str]:
    """Returns a value for each section that changes with the section or a file that it names.

    The files of certificates, keys and secrets count with their time of change, so that a renewed
    certificate is a change as well.
    """
    found = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        digest = hashlib.sha256(repr(_plain(value)).encode())
        for _, path in named_files(value):
            digest.update(repr(_state(path)).encode())
        found[name] = digest.hexdigest()
    return found


def _value(settings: GatewaySettings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name, None)
    return value


def _plain(value: object) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino

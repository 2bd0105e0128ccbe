"""Describes the settings of a gateway without secrets, names and paths."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gateway.config import SENDER, GatewaySettings
from gateway.support.remove_names import PATH, NameRemover

# What the texts of a key name. A text of any other key loses its unknown words.
_KINDS: Mapping[str, str] = {
    "ae_title": "AE",
    "sender": "AE",
    "senders": "AE",
    "address": "HOST",
    "host": "HOST",
    "network": "HOST",
    "proxies": "HOST",
    "url": "URL",
    "ledger_url": "URL",
    "name": "NAME",
    "source": "NAME",
    "destinations": "NAME",
    "review_destinations": "NAME",
    "reject_destinations": "NAME",
    "image": "NAME",
    "docker": PATH,
    "user": "USER",
}


def describe_settings(settings: GatewaySettings, names: NameRemover) -> Mapping[str, Any]:
    """Returns all settings as plain values, with replacements for what names something.

    Numbers stay, also ports. A URL keeps its scheme alone.
    """
    described: Mapping[str, Any] = _plain("", settings, names)
    return described


def _plain(key: str, value: object, names: NameRemover) -> Any:
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {name: _plain(name, getattr(value, name), names) for name in fields}
    if isinstance(value, Mapping):
        return {
            names.clean(str(name)): _plain(str(name), item, names) for name, item in value.items()
        }
    if isinstance(value, (tuple, list)):
        return [_plain(key, item, names) for item in value]
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Path):
        return PATH
    return _text(key, str(value), names)


def _text(key: str, text: str, names: NameRemover) -> str:
    kind = _KINDS.get(key)
    if kind is None:
        return names.clean(text)
    if kind == "URL":
        return f"{text.partition(':')[0]}://{names.pseudonym('URL', text)}"
    if kind == PATH:
        return PATH
    return text if text == SENDER else names.pseudonym(kind, text)

"""Tests that gateway.yaml and docs/gateway.md show all settings with their defaults."""

import re
import typing
from collections.abc import Iterator

from pydantic import BaseModel

from gateway.config import GatewaySettings, load_gateway_settings
from tests.conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "gateway.md").read_text()
EXAMPLE = REPOSITORY / "gateway.yaml"


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a section and of those in it."""
    for name, field in model.model_fields.items():
        inner = section_of(field.annotation)
        if inner:
            yield from keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def section_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (section_of(argument) for argument in typing.get_args(annotation))
    return next((item for item in found if item), None)


def test_every_setting_of_the_gateway_is_documented_and_nothing_else() -> None:
    table = DOCUMENT.partition("## Settings")[2]
    documented = set(re.findall(r"^\| `([a-z_.]+)` ", table, re.MULTILINE))
    sections = {key.rpartition(".")[0] for key in documented}
    assert documented - sections == set(keys(GatewaySettings))


def test_the_example_gateway_yaml_holds_the_default_settings() -> None:
    assert load_gateway_settings(EXAMPLE) == GatewaySettings()


def test_the_example_gateway_yaml_shows_every_key_with_a_default() -> None:
    text = EXAMPLE.read_text()
    top = list(GatewaySettings.model_fields)
    for section in (
        "receive",
        "complete",
        "work",
        "supervise",
        "deliver",
        "web",
        "review",
        "alarms",
        "audit",
        "retention",
    ):
        top += section_of(GatewaySettings.model_fields[section].annotation).model_fields  # type: ignore[union-attr]
    assert [name for name in top if not re.search(rf"^ *{name}:", text, re.MULTILINE)] == []

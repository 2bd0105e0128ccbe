"""Writes the settings of the application for a rule: app.yaml, overridden by the rule."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from totalmap.settings_file import read_sections


def write_overlay(
    base: Path, application: Mapping[str, Any], device: str, path: Path, uid_key: str = ""
) -> None:
    """Writes the settings file that the application is run with.

    Args:
        base: The app.yaml of the application.
        application: Sections of the rule, with the keys that differ.
        device: As in `work.devices`.
        path: The file to write.
        uid_key: As `results.uid_key`; empty: what base and rule say.

    Raises:
        ConfigError: The base can't be read.
        OSError: The file can't be written.
    """
    sections = read_sections(base)
    chosen = {"segmentation": {"device": device.partition(":")[0]}}
    if uid_key:
        chosen["results"] = {"uid_key": uid_key}
    for layer in (application, chosen):
        for name, section in layer.items():
            sections[name] = {**(sections.get(name) or {}), **section}
    path.write_text(yaml.safe_dump(sections, allow_unicode=True), encoding="utf-8")

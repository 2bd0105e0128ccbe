"""Reads gateway.yaml, and the environment variables that the gateway knows."""

import os
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from totalsegmentator.map_to_binary import class_map

from gateway.config.alarms_section import AlarmsSection
from gateway.config.audit_section import AuditSection
from gateway.config.deliver_section import SENDER, DeliverSection, DestinationSection
from gateway.config.receive_section import ReceiveSection
from gateway.config.retention_section import RetentionSection
from gateway.config.review_section import ReviewSection
from gateway.config.rules_section import CompleteSection, RuleSection
from gateway.config.supervise_section import SuperviseSection
from gateway.config.web_section import WebSection
from gateway.config.work_section import WorkSection
from totalmap.default_locations import DEFAULT_SETTINGS
from totalmap.errors import ConfigError
from totalmap.settings import load_settings
from totalmap.settings_file import Section, read_sections, validated
from totalmap.suggest_similar_words import did_you_mean, quoted_if_close


class GatewaySettings(Section):
    """All settings of gateway.yaml.

    Attributes:
        storage_folder: The folder of studies and, except for Postgres, of the ledger.
        ledger_url: The URL of a database in the form of SQLAlchemy, such as
            postgresql+psycopg://user@host/db; None: SQLite in the storage folder.
    """

    storage_folder: Path = Path("totalmap-gateway")
    ledger_url: str | None = Field(default=None, repr=False)  # it may hold a password
    receive: ReceiveSection = ReceiveSection()
    complete: CompleteSection = CompleteSection()
    rules: tuple[RuleSection, ...] = Field(default=(RuleSection(),), min_length=1)
    destinations: tuple[DestinationSection, ...] = ()
    work: WorkSection = WorkSection()
    supervise: SuperviseSection = SuperviseSection()
    deliver: DeliverSection = DeliverSection()
    web: WebSection = WebSection()
    review: ReviewSection = ReviewSection()
    alarms: AlarmsSection = AlarmsSection()
    audit: AuditSection = AuditSection()
    retention: RetentionSection = RetentionSection()

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for kind in ("rules", "destinations"):
            names = [entry.name for entry in getattr(self, kind)]
            if len(set(names)) < len(names):
                raise ValueError(f"two {kind} have the same name")
        known = {SENDER, *(destination.name for destination in self.destinations)}
        if self.complete.source is not None and self.destination(self.complete.source) is None:
            raise ValueError(f"complete.source: there is no such destination; {_known(known)}")
        for rule in self.rules:
            for name in chain.from_iterable(rule.destinations_of.values()):
                if name not in known:
                    raise ValueError(
                        f"rule {rule.name}: there is no such destination"
                        f"{quoted_if_close(name, known)}{did_you_mean(name, known)}; "
                        f"{_known(known)}"
                    )
        return self

    def destination(self, name: str) -> DestinationSection | None:
        """Returns a destination by its name."""
        return next(
            (destination for destination in self.destinations if destination.name == name), None
        )


def _known(names: Collection[str]) -> str:
    return f"there are {', '.join(sorted(names))}"


def _require_known_settings(rule: RuleSection, settings_file: Path | None, path: Path) -> None:
    """Makes sure that the application accepts the settings of a rule.

    Whether the weights are there is checked by `totalmap gateway check` alone.

    Args:
        rule: The rule with its sections.
        settings_file: The application's app.yaml; None: the one that comes with it.
        path: The file of the rule, for the message.

    Raises:
        ConfigError: A section, key, task or structure is not known, a value is out of range, or
            the file can't be read.
    """
    if not rule.whole_application:
        return
    try:
        settings = load_settings(settings_file or DEFAULT_SETTINGS, {}, rule.whole_application)
    except ConfigError as error:
        raise ConfigError(f"rule {rule.name}, application: {error} (in {path})") from None
    task = settings.segmentation.task
    if task not in class_map:
        raise ConfigError(
            f"rule {rule.name}, application: there is no segmentation.task"
            f"{quoted_if_close(task, tuple(class_map))}{did_you_mean(task, tuple(class_map))} "
            f"(in {path})"
        )


def load_gateway_settings(path: Path | None) -> GatewaySettings:
    """Reads gateway.yaml; None: the defaults.

    Raises:
        ConfigError: The file is missing or is not YAML, a section or key is not known, a value is
            out of range, or the application does not accept the settings of a rule.
    """
    if path is None:
        return GatewaySettings()
    settings = validated(GatewaySettings, read_sections(path), path)
    for rule in settings.rules:
        _require_known_settings(rule, settings.work.settings_file, path)
    return settings


def systemd_socket() -> str | None:
    """Returns the socket on which systemd listens for the service's state; None: it does not."""
    return os.environ.get("NOTIFY_SOCKET") or None


def use_gpu(device: str) -> None:
    """Lets this process, and its children, see the one GPU that a device names.

    Args:
        device: As in `work.devices`; one without a number changes nothing.
    """
    _, _, number = device.partition(":")
    if number:
        os.environ["CUDA_VISIBLE_DEVICES"] = number

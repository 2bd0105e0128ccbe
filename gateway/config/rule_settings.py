"""Checks what rules lay over app.yaml when gateway.yaml is read: else it would fail job by job."""

from pathlib import Path

from totalsegmentator.map_to_binary import class_map

from gateway.config.rules import RuleSection
from totalmap.defaults import DEFAULT_SETTINGS
from totalmap.errors import ConfigError
from totalmap.settings import load_settings
from totalmap.suggestions import did_you_mean, quoted_if_close


def require_known_settings(rule: RuleSection, settings_file: Path | None, path: Path) -> None:
    """Makes sure that the application would take the settings of a rule.

    Whether the weights are there is not looked at (`totalmap gateway check`).

    Args:
        rule: With its sections.
        settings_file: The application's app.yaml; None: the one that comes with it.
        path: Where the rule stands, for the message.

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

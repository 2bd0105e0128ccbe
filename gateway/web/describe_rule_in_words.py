"""Writes a rule of gateway.yaml in words, for the language of the page."""

from collections.abc import Iterator, Sequence

from gateway.config import SENDER, GatewaySettings, RuleSection
from gateway.rule_matching import all_of, one_of
from totalmap.default_locations import DEFAULT_SETTINGS
from totalmap.errors import ConfigError
from totalmap.finding import Verdict
from totalmap.result_options import Rejected
from totalmap.settings import Settings, load_settings
from totalmap.texts.catalogue import Message


def rule_sentences(rule: RuleSection, settings: GatewaySettings) -> Sequence[Message]:
    """Returns what a rule does, in sentences.

    Args:
        rule: The rule.
        settings: Of the gateway, with the file of the application's settings.
    """
    file = settings.work.settings_file or DEFAULT_SETTINGS
    try:
        application = load_settings(file, {}, rule.whole_application)
    except ConfigError:  # the file has changed since the start; `totalmap gateway check` names it
        return [*_condition(rule), Message("rule.unreadable")]
    return [*_condition(rule), *_work(rule, application), *_ways(rule, application)]


def _condition(rule: RuleSection) -> Iterator[Message]:
    conditions = [
        Message(key, patterns=one_of([Message("rule.quoted", text=text) for text in patterns]))
        for key, patterns in (
            ("rule.body_part", rule.body_parts),
            ("rule.description", rule.descriptions),
        )
        if patterns
    ]
    yield Message(
        "rule.applies",
        senders=_named("rule.senders", rule.senders),
        modalities=_named("rule.modalities", rule.modalities),
        conditions=Message("rule.conditions", conditions=all_of(conditions)) if conditions else "",
    )
    if rule.min_instances > 1:
        yield Message("rule.at_least", count=rule.min_instances)


def _named(key: str, names: Sequence[str]) -> str:
    return Message(key, names=one_of(names)) if names else ""


def _work(rule: RuleSection, application: Settings) -> Iterator[Message]:
    segmentation = application.segmentation
    variant = f", {segmentation.variant}" if segmentation.variant else ""
    yield Message(
        "rule.segments",
        task=f"{segmentation.task}{variant}",
        kinds=", ".join(application.results.kinds),
    )
    if rule.urgent:
        yield Message("rule.urgent")


def _ways(rule: RuleSection, application: Settings) -> Iterator[Message]:
    ok, review, reject = (rule.destinations_of[verdict] for verdict in Verdict)
    yield _sent(ok, "rule.sends", "rule.sends_nowhere")
    if review != ok:
        yield _sent(review, "rule.review", "rule.review_nowhere")
    if application.quality.rejected is Rejected.HOLD:
        yield Message("rule.held")
    elif reject:
        yield _sent(reject, "rule.reject")


def _sent(destinations: Sequence[str], key: str, nowhere: str = "") -> Message:
    if not destinations:
        return Message(nowhere)
    shown = [Message("rule.sender") if name == SENDER else name for name in destinations]
    return Message(key, names=all_of(shown))

"""Writes a rule of gateway.yaml in words."""

from collections.abc import Iterator, Sequence

from gateway.config import SENDER, GatewaySettings, RuleSection
from gateway.rule_matching import one_of
from totalmap.default_locations import DEFAULT_SETTINGS
from totalmap.errors import ConfigError
from totalmap.finding import Verdict
from totalmap.settings import Rejected, Settings, load_settings

_NOTE = "with a note that rejects them"


def rule_sentences(rule: RuleSection, settings: GatewaySettings) -> Sequence[str]:
    """Returns what a rule does, in sentences.

    Args:
        rule: The rule.
        settings: Of the gateway, with the file of the application's settings.
    """
    file = settings.work.settings_file or DEFAULT_SETTINGS
    try:
        application = load_settings(file, {}, rule.whole_application)
    except ConfigError:  # the file has changed since the start; `totalmap gateway check` names it
        return [*_condition(rule), "The settings of the application can't be read now."]
    return [*_condition(rule), *_work(rule, application), *_ways(rule, application)]


def _condition(rule: RuleSection) -> Iterator[str]:
    senders = f" from {one_of(rule.senders)}" if rule.senders else ""
    modalities = f" of modality {one_of(rule.modalities)}" if rule.modalities else ""
    conditions = [
        f"{name} matches {one_of([f'“{pattern}”' for pattern in patterns])}"
        for name, patterns in (
            ("Body Part Examined", rule.body_parts),
            ("the description of the study or series", rule.descriptions),
        )
        if patterns
    ]
    where = f" in which {' and '.join(conditions)}" if conditions else ""
    yield f"Applies to every study{senders} that has a series{modalities}{where}."
    if rule.min_instances > 1:
        yield f"The study needs at least {rule.min_instances} images."


def _work(rule: RuleSection, application: Settings) -> Iterator[str]:
    segmentation = application.segmentation
    variant = f", {segmentation.variant}" if segmentation.variant else ""
    yield (
        f"Segments with the task {segmentation.task}{variant}, and writes "
        f"{', '.join(application.results.kinds)}."
    )
    if rule.urgent:
        yield "Its jobs start before all jobs that are not urgent."


def _ways(rule: RuleSection, application: Settings) -> Iterator[str]:
    ok, review, reject = (rule.destinations_of[verdict] for verdict in Verdict)
    yield f"Sends the results to {_names(ok)}." if ok else "Sends the results nowhere."
    if review != ok:
        where = f"go to {_names(review)}" if review else "are sent nowhere"
        yield f"Results that need review {where}."
    if application.quality.rejected is Rejected.HOLD:
        yield "Results that quality control rejects are held back."
    elif reject:
        yield f"Results that quality control rejects go to {_names(reject)}, {_NOTE}."


def _names(destinations: Sequence[str]) -> str:
    shown = ["the sender" if name == SENDER else name for name in destinations]
    return one_of(shown).replace(" or ", " and ") if len(shown) > 1 else shown[0]

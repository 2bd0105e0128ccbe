"""Collects the rules in words, and whether each of them would match a study on record."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.config import RuleSection
from gateway.rule_matching import ComparedWithRules, RuleMatch, compared_with_rules, match
from gateway.store.current_images_of_study import images
from gateway.web.context import WebContext
from gateway.web.describe_rule_in_words import rule_sentences
from gateway.web.study_titles import StudyTitle

SERIES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRule:
    """A rule in words.

    Attributes:
        match: Whether it matches the study; None: there is no study, or it has no images.
    """

    rule: RuleSection
    sentences: Sequence[str]
    match: RuleMatch | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesPage:
    """The page of the rules.

    Attributes:
        study_instance_uid: The study that they are compared with; empty: none.
        study_title: Of the study.
        compared: What rules look at in the study; None: it has no images here.
        series_shown: The number of series whose unmet conditions are shown.
    """

    rules: Sequence[ShownRule]
    study_instance_uid: str
    study_title: StudyTitle | None
    compared: ComparedWithRules | None
    series_shown: int = SERIES_SHOWN

    @property
    def matching(self) -> Sequence[str]:
        """The names of the rules that match the study."""
        return [shown.rule.name for shown in self.rules if shown.match and shown.match.fits]


def rules_page(context: WebContext, study_instance_uid: str) -> RulesPage:
    """Returns the data of the page of the rules.

    Args:
        context: Of the page.
        study_instance_uid: The study to compare with the rules; empty: none.

    Raises:
        ResourceError: The database or the disk fails.
    """
    compared, study_title = None, None
    if study_instance_uid:
        study_title = context.study_titles.of(study_instance_uid)
        found = images(context.ledger.content(study_instance_uid))
        compared = compared_with_rules(found, context.storage) if found else None
    return RulesPage(
        rules=[
            ShownRule(
                rule=rule,
                sentences=rule_sentences(rule, context.settings),
                match=match(rule, compared) if compared is not None else None,
            )
            for rule in context.settings.rules
        ],
        study_instance_uid=study_instance_uid,
        study_title=study_title,
        compared=compared,
    )

"""Builds the quality evaluations in the SR: the verdict and the findings.

PS3.16 TID 1500 has a container for qualitative evaluations of a whole study. No standard has codes
for the answers, so they are codes of our own scheme.
"""

from collections.abc import Iterator

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.coding import Code

from totalmap.finding import VERDICT_WORDS, Assessment, Finding
from totalmap.writers.dicom.codes import PRIVATE_SCHEME_DESIGNATOR

EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
VERDICT = Code("verdict", PRIVATE_SCHEME_DESIGNATOR, "Verdict on the quality of the result")
REASON = Code("reason", PRIVATE_SCHEME_DESIGNATOR, "Reason to doubt the result")
COMMENT = Code("121106", "DCM", "Comment")
VERDICT_CODES = {
    verdict: Code(f"verdict_{verdict}", PRIVATE_SCHEME_DESIGNATOR, words.capitalize())
    for verdict, words in VERDICT_WORDS.items()
}
_CONTAINS = RelationshipTypeValues.CONTAINS


def evaluations(assessment: Assessment) -> ContentItem:
    """Returns the container with the verdict, and each finding with its sentence."""
    container = ContainerContentItem(EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(_items(assessment))
    return container


def finding_code(finding: Finding) -> Code:
    """Returns the code of a finding in our scheme."""
    words = finding.code.replace("_", " ").capitalize()
    return Code(finding.code, PRIVATE_SCHEME_DESIGNATOR, words)


def _items(assessment: Assessment) -> Iterator[ContentItem]:
    yield CodeContentItem(VERDICT, VERDICT_CODES[assessment.verdict], relationship_type=_CONTAINS)
    for finding in assessment.findings:
        yield CodeContentItem(REASON, finding_code(finding), relationship_type=_CONTAINS)
        yield TextContentItem(COMMENT, finding.sentence, relationship_type=_CONTAINS)

"""What an SR says of the quality of a result: the verdict, and the reasons for it.

PS3.16 TID 1500 has a container for qualitative evaluations of a whole study. No standard has codes
for the answers, so they are our own.
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

from totalmap.finding import Assessment, Finding, Verdict
from totalmap.writers.dicom.codes import PRIVATE_SCHEME_DESIGNATOR

EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
VERDICT = Code("verdict", PRIVATE_SCHEME_DESIGNATOR, "Verdict on the quality of the result")
REASON = Code("reason", PRIVATE_SCHEME_DESIGNATOR, "Reason to doubt the result")
COMMENT = Code("121106", "DCM", "Comment")
VERDICTS = {
    Verdict.OK: Code("verdict_ok", PRIVATE_SCHEME_DESIGNATOR, "Nothing found against it"),
    Verdict.REVIEW: Code("verdict_review", PRIVATE_SCHEME_DESIGNATOR, "To be reviewed"),
    Verdict.REJECT: Code("verdict_reject", PRIVATE_SCHEME_DESIGNATOR, "Rejected"),
}
_CONTAINS = RelationshipTypeValues.CONTAINS


def evaluations(assessment: Assessment) -> ContentItem:
    """Returns the container with the verdict, and each reason with its sentence."""
    container = ContainerContentItem(EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(_items(assessment))
    return container


def reason(finding: Finding) -> Code:
    """Returns the code of a finding."""
    words = finding.code.replace("_", " ").capitalize()
    return Code(finding.code, PRIVATE_SCHEME_DESIGNATOR, words)


def _items(assessment: Assessment) -> Iterator[ContentItem]:
    yield CodeContentItem(VERDICT, VERDICTS[assessment.verdict], relationship_type=_CONTAINS)
    for finding in assessment.findings:
        yield CodeContentItem(REASON, reason(finding), relationship_type=_CONTAINS)
        yield TextContentItem(COMMENT, finding.sentence, relationship_type=_CONTAINS)

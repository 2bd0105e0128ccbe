import pytest

from gateway.store.job import JobState
from gateway.web.stored_reasons import told_reason
from tests.unit.gateway.web.filling import Filled
from totalmap.texts.catalogue import Language, texts_in

GERMAN = texts_in(Language.GERMAN)


@pytest.mark.parametrize(
    ("reason", "german"),
    [
        ("cancelled by Dr. Example", "von Dr. Example abgebrochen"),
        ("the study has grown", "die Untersuchung ist gewachsen"),
        ("the study was rejected by anna", "die Untersuchung wurde von anna abgelehnt"),
        ("too thick: 7 mm, 5 mm are allowed", "too thick: 7 mm, 5 mm are allowed"),
        (None, ""),
    ],
)
def test_the_page_tells_a_reason_of_the_gateway_in_german_and_an_error_in_english(
    reason: str | None, german: str
) -> None:
    assert told_reason(reason) == (reason or "")
    assert GERMAN.told(told_reason(reason)) == german


def test_a_reason_that_the_ledger_keeps_as_text_is_found_again_for_translation(
    gateway: Filled,
) -> None:
    job = gateway.open_job("1.2")
    assert gateway.jobs.cancel(job, "Dr. Example")
    kept = gateway.jobs.job(job)
    assert kept is not None
    assert (kept.state, type(kept.reason)) == (JobState.CANCELLED, str)
    assert GERMAN.told(told_reason(kept.reason)) == "von Dr. Example abgebrochen"

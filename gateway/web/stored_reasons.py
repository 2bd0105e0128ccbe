"""Tells why a job or delivery ended in the language of the page; the ledger keeps it in English."""

import re
from dataclasses import replace
from functools import cache

from gateway.store.job import Job, JobState
from gateway.web.context import WebContext
from totalmap.texts.catalogue import Language, Message, texts_in

# The reasons that the gateway gives itself. All others are errors, and stay English.
_KEYS = ("reason.cancelled", "reason.grown", "reason.rejected", "reason.other_content")


# In these states the reason is the summary of quality control.
_JUDGED = (JobState.SEGMENTED, JobState.HELD)


def told_job(context: WebContext, job: Job) -> Job:
    """Returns a job with its reason in the language of the page."""
    if not job.reason or context.texts.language == Language.ENGLISH:
        return job
    if job.state in _JUDGED:
        return replace(job, reason=told_summary(context, job.job_id, job.reason))
    return replace(job, reason=told_reason(job.reason))


def told_summary(context: WebContext, job_id: str, summary: str | None) -> str | None:
    """Returns the summary of quality control in the language of the page.

    It is made again of the findings in status.json; without the file it stays English.
    """
    if not summary or context.texts.language == Language.ENGLISH:
        return summary
    judgement = context.results.report(job_id, context.texts).judgement
    return judgement.summary_in(context.texts) or summary


def told_reason(reason: str | None) -> str:
    """Returns a reason of the ledger as a `Message`; an error as it is, and empty for none."""
    for key, sentence in _sentences().items():
        if found := sentence.fullmatch(reason or ""):
            return Message(key, **found.groupdict())
    return reason or ""


@cache
def _sentences() -> dict[str, re.Pattern[str]]:
    """Returns the English sentences, with any text for the name of the user."""
    entries = texts_in(Language.ENGLISH).entries
    return {
        key: re.compile(re.escape(entries[key]).replace(r"\{who\}", "(?P<who>.+)")) for key in _KEYS
    }

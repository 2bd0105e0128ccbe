"""Tests the text of messages about alarms."""

import json

import pytest

from gateway.alarm.message_text import LISTED, MessageWriter
from gateway.config import AlarmKind, GatewaySettings, WebSection
from gateway.store.alarm_messages import AlarmMessage
from gateway.store.alarms import Alarm

PAGE = WebSection.model_validate({"public_url": "https://totalmap.hospital.example/"})
JOB = "0123456789abcdef" * 4


def alarms(kind: AlarmKind, *subjects: str) -> tuple[Alarm, ...]:
    return tuple(
        Alarm(
            alarm_id=number,
            kind=kind,
            subject=subject,
            detail=None,
            begun_at=1_700_000_000.0,
            ended_at=None,
        )
        for number, subject in enumerate(subjects)
    )


def message(
    kind: AlarmKind, begun: tuple[Alarm, ...] = (), ended: tuple[Alarm, ...] = ()
) -> AlarmMessage:
    return AlarmMessage(
        message_id=1,
        uid="abc",
        way="email",
        kind=kind,
        created_at=1_700_000_060.0,
        attempts=0,
        begun=begun,
        ended=ended,
    )


def writer(web: WebSection = PAGE) -> MessageWriter:
    return MessageWriter(GatewaySettings(web=web), "box")


def test_an_alarm_message_names_kind_time_job_link_and_what_to_do() -> None:
    written = writer().write(message(AlarmKind.JOB_DEAD, alarms(AlarmKind.JOB_DEAD, JOB)))
    assert written.summary == "TotalMAP on box: 1 job has failed"
    assert written.body == (
        "The gateway on box reports: 1 job has failed.\n"
        "\n"
        "Since then:\n"
        f"- 2023-11-14 22:13 UTC  job 0123456789ab  https://totalmap.hospital.example/jobs/{JOB}\n"
        "\n"
        "The page shows the reason. Remove the cause, and retry the job.\n"
        "\n"
        "The page: https://totalmap.hospital.example\n"
    )
    assert json.loads(json.dumps(written.document)) == {
        "id": "abc",
        "kind": "job_dead",
        "created_at": "2023-11-14T22:14:20+00:00",
        "gateway": "box",
        "text": written.summary,
        "begun": {
            "count": 1,
            "alarms": [
                {
                    "subject": JOB,
                    "detail": None,
                    "since": "2023-11-14T22:13:20+00:00",
                    "url": f"https://totalmap.hospital.example/jobs/{JOB}",
                }
            ],
        },
        "ended": {"count": 0, "alarms": []},
    }


def test_an_alarm_message_without_public_url_has_no_links() -> None:
    begun = alarms(AlarmKind.DELIVERY_DEAD, f"{JOB} pacs")
    written = writer(WebSection()).write(message(AlarmKind.DELIVERY_DEAD, begun))
    assert "job 0123456789ab to pacs\n" in written.body
    assert "http" not in written.body


def test_an_alarm_message_names_a_held_study_by_the_number_of_its_conflict() -> None:
    begun = alarms(AlarmKind.STUDY_HELD, "7")
    written = writer().write(message(AlarmKind.STUDY_HELD, begun))
    assert "conflict 7  https://totalmap.hospital.example/conflicts/7\n" in written.body


def test_one_message_about_a_hundred_alarms_lists_twenty_and_their_number() -> None:
    kind = AlarmKind.JOB_DEAD
    written = writer().write(message(kind, alarms(kind, *map(str, range(100))), alarms(kind, "0")))
    assert written.summary == (
        "TotalMAP on box: 100 jobs have failed; "
        "1 failed job was retried, cancelled, replaced or deleted"
    )
    assert written.body.count("/jobs/") == LISTED + 1
    assert "- and 80 more\n" in written.body
    assert written.document["begun"]["count"] == 100
    assert len(written.document["begun"]["alarms"]) == LISTED


@pytest.mark.parametrize("kind", AlarmKind)
def test_each_kind_of_alarm_has_words_for_its_begin_and_its_end(kind: AlarmKind) -> None:
    for number in (1, 2):
        some = alarms(kind, *map(str, range(number)))
        begun = writer().write(message(kind, some)).summary
        ended = writer().write(message(kind, (), some)).summary
        assert begun != ended
        assert number == 1 or "2" in begun
        assert "{" not in begun + ended

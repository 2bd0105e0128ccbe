"""Answers are taken by who waits for them, whoever else looks first."""

from queue import Empty

import pytest
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at its import

from gateway.deliver.dimse_replies import ReplyQueue
from gateway.deliver.send_dicom import association
from tests.unit.gateway.peers import running_dicom_peer

CONTEXT = 1


def answer() -> C_STORE:
    message = C_STORE()
    message.MessageIDBeingRespondedTo = 1
    message.Status = 0x0000
    return message


def request() -> C_ECHO:
    message = C_ECHO()
    message.MessageID = 1
    message.AffectedSOPClassUID = Verification
    return message


def test_who_only_looks_gets_no_answer() -> None:
    messages, expected = ReplyQueue(), (CONTEXT, answer())
    messages.put(expected)
    with pytest.raises(Empty):
        messages.get(block=False)
    assert messages.get(block=True, timeout=0) is expected


def test_who_waits_hears_that_there_will_be_no_answer() -> None:
    messages = ReplyQueue()
    messages.put((None, None))
    with pytest.raises(Empty):
        messages.get(block=False)
    assert messages.get(block=True, timeout=0) == (None, None)


def test_who_only_looks_gets_requests() -> None:
    messages, expected = ReplyQueue(), (CONTEXT, request())
    messages.put(expected)
    assert messages.get(block=False) is expected
    with pytest.raises(Empty):
        messages.get(block=False)


def test_answers_reach_a_sender_by_such_a_queue() -> None:
    with (
        running_dicom_peer(classes=[Verification]) as peer,
        association(peer.destination(), [(Verification, [ImplicitVRLittleEndian])]) as established,
    ):
        assert isinstance(established.dimse.msg_queue, ReplyQueue)
        assert established.send_c_echo().Status == 0x0000

"""Tests that a message survives JSON, as in status.json, and is told in another language again."""

import json

import numpy as np
import pytest

from totalmap.limitation_words import incomplete_sentence
from totalmap.structures import Face
from totalmap.texts.catalogue import (
    Joined,
    Language,
    Message,
    PairName,
    StructureName,
    texts_in,
)
from totalmap.texts.stored_message import restored_message, stored_message

GERMAN = texts_in(Language.GERMAN)
PAIRS = Joined((PairName("kidney_left"), PairName("lung_upper_lobe_left")))
MESSAGES = [
    incomplete_sentence("kidney_left", (Face.LEFT, Face.SUPERIOR)),
    Message("finding.MIRRORED", swapped=2, of=3, names=PAIRS),
    Message("finding.ABSENT", structure=StructureName("liver"), levels="T10 to L2"),
    Message("warning.of_series", folder="a", warning=Message("warning.tilt", degrees=3.25)),
    Message("list.named", names=Joined(("CT1", "CT2", "CT3"), with_or=True)),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_catalogue_message_stored_as_json_is_the_same_in_every_language(message: Message) -> None:
    restored = restored_message(str(message), json.loads(json.dumps(stored_message(message))))
    assert isinstance(restored, Message)
    assert restored == message
    assert GERMAN.told(restored) == GERMAN.told(message) != message


def test_numbers_of_numpy_in_a_message_are_stored_as_numbers_of_json() -> None:
    message = Message("warning.of_series", folder=np.int64(3), warning=np.float32(0.5))  # type: ignore[arg-type]
    assert json.loads(json.dumps(stored_message(message)))["values"] == {
        "folder": 3,
        "warning": 0.5,
    }


def test_a_stored_sentence_that_is_no_catalogue_message_stays_as_it_is() -> None:
    assert stored_message("a notice of a model") is None
    assert restored_message("a notice of a model", None) == "a notice of a model"


@pytest.mark.parametrize(
    "stored",
    [
        {"key": "finding.OF_ANOTHER_VERSION", "values": {}},
        {"key": "finding.CHILD", "values": {"other": 1}},
        {"key": "finding.CHILD", "values": {"years": None}},
        {"key": "finding.CHILD"},
    ],
)
def test_a_stored_sentence_of_another_version_stays_as_it_is(stored: dict[str, object]) -> None:
    assert restored_message("The patient is a child.", stored) == "The patient is a child."

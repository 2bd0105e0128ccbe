import pickle
import string
from copy import deepcopy

import pytest

from totalmap.display_names import known_names
from totalmap.texts.catalogue import (
    FILES,
    Joined,
    Language,
    Message,
    PairName,
    StructureName,
    Texts,
    TranslatedSentence,
    entries_in,
    texts_in,
)
from totalmap.writers.presentation.fonts import drawable

ENGLISH, GERMAN = texts_in(Language.ENGLISH), texts_in(Language.GERMAN)


def values_in(text: str) -> set[str]:
    """Returns the names of the values in a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", Language)
def test_every_text_catalogue_has_the_same_texts_with_the_same_values(language: Language) -> None:
    texts = texts_in(language)
    assert texts.entries.keys() == ENGLISH.entries.keys()
    for key, text in texts.entries.items():
        assert values_in(text) == values_in(ENGLISH.entries[key]), key


def test_no_two_files_of_a_text_catalogue_have_the_same_key() -> None:
    numbers = [len(entries_in(name, Language.ENGLISH)) for name in FILES]
    assert len(ENGLISH.entries) == sum(numbers)
    assert min(numbers) > 0


@pytest.mark.parametrize("language", Language)
def test_the_font_of_preview_and_pdf_has_every_letter_of_a_text_catalogue(
    language: Language,
) -> None:
    texts = texts_in(language)
    for text in (*texts.entries.values(), *texts.structures.values()):
        assert drawable(text), text


def test_every_structure_has_a_german_name_of_its_own() -> None:
    assert GERMAN.structures.keys() == set(known_names())
    assert len(set(GERMAN.structures.values())) == len(GERMAN.structures)


@pytest.mark.parametrize(
    ("value", "english", "german"),
    [
        (0.0, "0", "0"),
        (0.4591, "0.459", "0,459"),
        (5.744, "5.74", "5,74"),
        (42.81, "42.8", "42,8"),
        (1951.2, "1950", "1950"),
        (12345.0, "12,300", "12\N{NO-BREAK SPACE}300"),
        (-98.76, "-98.8", "-98,8"),
        (99.96, "100", "100"),
    ],
)
def test_numbers_in_texts_have_three_significant_digits_and_the_marks_of_the_language(
    value: float, english: str, german: str
) -> None:
    assert ENGLISH.number(value) == english
    assert GERMAN.number(value) == german


def test_a_catalogue_message_is_its_english_sentence_and_is_told_in_another_language() -> None:
    faces = Joined((Message("face.left"), Message("face.superior")), with_and=True)
    edges = Message("edges.many", faces=faces)
    message = Message("finding.INCOMPLETE", structure=StructureName("kidney_left"), edges=edges)
    english = "The left kidney is incomplete: it touches the left and superior edges of the field "
    assert message == english + "of view."
    german = (
        "Niere links: unvollst\u00e4ndig, ber\u00fchrt den Rand des Bildfelds (links und oben)."
    )
    for copied in (message, deepcopy(message), pickle.loads(pickle.dumps(message))):  # noqa: S301
        assert GERMAN.told(copied) == german


def test_pairs_of_structures_and_decimals_are_written_in_the_language_of_the_text() -> None:
    message = Message("finding.ASYMMETRY", pair=PairName("kidney_left"), times=3.51, limit=3.0)
    assert message.startswith("The kidney of one side is 3.5 times as large")
    assert GERMAN.told(message).startswith("Niere: auf einer Seite 3,5-mal so gro\u00df")


def test_a_sentence_without_a_translation_stays_english() -> None:
    sentence = "a notice of a model"
    assert (GERMAN.told(sentence), GERMAN.language_of(sentence)) == (sentence, "en")


def test_a_sentence_with_translations_is_told_in_the_language_if_it_has_one() -> None:
    notice = TranslatedSentence("not for patients", {"de": "nicht f\u00fcr Patienten"})
    for copied in (notice, deepcopy(notice), pickle.loads(pickle.dumps(notice))):  # noqa: S301
        assert copied == ENGLISH.told(copied) == "not for patients"
        assert GERMAN.told(copied) == "nicht f\u00fcr Patienten"
        assert GERMAN.language_of(copied) == "de"
    french = TranslatedSentence("not for patients", {"fr": "pas pour les patients"})
    assert (GERMAN.told(french), GERMAN.language_of(french)) == ("not for patients", "en")


@pytest.mark.parametrize(("texts", "shown"), [(ENGLISH, "2020-03-04"), (GERMAN, "04.03.2020")])
def test_dates_in_texts_are_written_as_in_their_language(texts: Texts, shown: str) -> None:
    assert texts.date("20200304") == shown
    assert texts.date("unknown") == "unknown"


def test_values_in_texts_are_joined_by_the_word_of_the_language() -> None:
    either = Message("list.named", names=Joined(("CT1", "CT2", "CT3"), with_or=True))
    both = Message("list.named", names=Joined(("CT1", "CT2"), with_and=True))
    assert [either, both] == ["CT1, CT2 or CT3", "CT1 and CT2"]
    assert [GERMAN.told(either), GERMAN.told(both)] == ["CT1, CT2 oder CT3", "CT1 und CT2"]

from dataclasses import replace

import pytest

from totalmap.limitation_words import (
    INCOMPLETE_EXPLAINED,
    LIMITATION_WORDS,
    edge_meaning,
    incomplete_sentence,
    legend_note,
    remarks,
    several_pieces_sentence,
)
from totalmap.structures import Face, Limitation, MeasuredStructure, Structure
from totalmap.texts.catalogue import Language, texts_in

LIMITED = MeasuredStructure(
    structure=Structure(label=3, name="kidney_left"),
    voxels=12,
    volume_ml=0.3,
    mean=30.0,
    sd=5.0,
    faces=(Face.LEFT, Face.SUPERIOR),
    components=2,
    largest_share=0.75,
)
WHOLE = replace(LIMITED, voxels=5000, faces=(), components=1, largest_share=1.0)

# The word that every result uses for a limitation.
WORD = {
    Limitation.INCOMPLETE: "incomplete",
    Limitation.FEW_VOXELS: "very small",
    Limitation.SEVERAL_COMPONENTS: "pieces",
}


@pytest.mark.parametrize("limitation", Limitation)
def test_every_result_names_a_limitation_by_the_same_word(limitation: Limitation) -> None:
    words, word = LIMITATION_WORDS[limitation], WORD[limitation]
    label = texts_in(Language.ENGLISH)(f"limitation.{limitation}")
    for text in (label, words.remark, words.code_meaning):
        assert word in text.lower()
    assert word in (words.note or INCOMPLETE_EXPLAINED).lower()


def test_remarks_on_a_measurement_have_the_numbers_of_every_limitation() -> None:
    assert remarks(LIMITED) == (
        "incomplete: touches the left and superior edges of the field of view; "
        "very small: fewer than 27 voxels (12); "
        "2 separate pieces, the largest is 75%"
    )
    assert remarks(WHOLE) == ""


def test_the_remark_on_pieces_never_rounds_the_largest_share_up_to_all() -> None:
    crumb = replace(WHOLE, components=2, largest_share=0.9997)
    assert remarks(crumb) == "2 separate pieces, the largest is 99%"


def test_the_legend_note_on_a_structure_is_that_of_the_first_limitation_that_has_one() -> None:
    assert legend_note(LIMITED) == "very small"
    assert legend_note(replace(LIMITED, voxels=5000)) == "2 pieces"
    assert legend_note(replace(WHOLE, faces=(Face.LEFT,))) == ""


def test_findings_name_the_structure_by_its_display_name() -> None:
    assert incomplete_sentence("kidney_left", (Face.LEFT, Face.SUPERIOR)) == (
        "The left kidney is incomplete: "
        "it touches the left and superior edges of the field of view."
    )
    assert several_pieces_sentence("liver", 4.6, 2.0) == (
        "The liver is in several pieces: the second largest has 5 mL (expected at most 2 mL)."
    )


@pytest.mark.parametrize(
    ("faces", "words"),
    [
        ((Face.SUPERIOR,), "the superior edge of"),
        ((Face.LEFT, Face.INFERIOR, Face.SUPERIOR), "the left, inferior and superior edges of"),
    ],
)
def test_a_finding_lists_the_touched_edges_as_a_sentence_does(
    faces: tuple[Face, ...], words: str
) -> None:
    assert words in incomplete_sentence("liver", faces)


def test_the_code_meaning_of_a_cut_structure_names_the_edge_of_the_field_of_view() -> None:
    assert edge_meaning(Face.SUPERIOR) == "Incomplete: touches superior edge of field of view"

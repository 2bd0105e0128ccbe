import csv
from importlib.resources import files

from totalsegmentator.map_to_binary import class_map

from totalmap.quality.plausibility.anatomy_table import (
    LOWEST_VERTEBRA,
    Range,
    anatomy,
    known_structures,
    level_name,
    vertebra_name,
)
from totalmap.texts.catalogue import Language, texts_in


def test_the_anatomy_table_has_every_structure_of_task_total_with_a_source() -> None:
    text = (files("totalmap.quality.plausibility") / "anatomy.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["structure"] for row in rows] == list(class_map["total"].values())
    assert all(row["source"] for row in rows)
    assert anatomy("lesion") is None


def test_the_low_end_of_every_range_in_the_anatomy_table_is_below_its_high_end() -> None:
    for known in known_structures().values():
        for one in (known.levels, known.volume_ml, known.hu):
            assert one is None or one.low < one.high


def test_paired_structures_of_the_anatomy_table_lie_on_opposite_sides() -> None:
    for name, known in known_structures().items():
        other = anatomy(name.replace("_left", "_right"))
        if other is None or other is known or known.left_mm is None or other.left_mm is None:
            continue
        assert known.left_mm > 0 > other.left_mm


def test_vertebrae_of_the_anatomy_table_are_numbered_from_head_to_foot() -> None:
    names = [vertebra_name(number) for number in range(1, LOWEST_VERTEBRA + 1)]
    assert (names[0], names[6], names[7], names[18], names[19], names[23]) == (
        "vertebrae_C1",
        "vertebrae_C7",
        "vertebrae_T1",
        "vertebrae_T12",
        "vertebrae_L1",
        "vertebrae_L5",
    )
    assert set(names) < set(known_structures())
    assert level_name(19.4) == "T12"
    assert level_name(26.0) == "the sacrum"
    assert texts_in(Language.GERMAN).told(level_name(26.0)) == "Kreuzbein"


def test_a_range_of_the_anatomy_table_gives_the_distance_of_a_value_outside_it() -> None:
    usual = Range(low=1.0, high=3.0)
    assert [usual.excess(value) for value in (0.5, 1.0, 3.0, 5.0)] == [0.5, 0.0, 0.0, 2.0]

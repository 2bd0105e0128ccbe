from totalmap.texts.catalogue import Language, texts_in
from totalmap.writers.presentation.structure_tables import Row, SystemTable
from totalmap.writers.preview.legend import draw_column, legend_columns, legend_lines
from totalmap.writers.preview.page_drawing import Box, Canvas


def rows(count: int) -> tuple[Row, ...]:
    return tuple(
        Row(name=f"Rib {n}", colour=(200, 100, 50), volume="1", is_incomplete=False)
        for n in range(count)
    )


def words_of(tables: tuple[SystemTable, ...], longest: int) -> list[list[str]]:
    """Returns the words that are drawn in each column of the preview's legend."""
    drawn = []
    for column in legend_columns(legend_lines(tables), longest):
        canvas = Canvas(400, 400)
        draw_column(canvas, Box(0, 0, 400, 400), column, texts_in(Language.ENGLISH))
        drawn.append(canvas.words)
    return drawn


def test_a_body_system_that_goes_on_in_the_next_legend_column_has_its_name_there_too() -> None:
    first, second = words_of((SystemTable(name="Bones", rows=rows(6)),), longest=5)
    assert (first[0], second[0]) == ("Bones", "Bones (continued)")
    assert "Rib 3" in first
    assert "Rib 4" in second


def test_a_body_system_that_begins_a_legend_column_is_not_called_continued() -> None:
    tables = (SystemTable(name="Bones", rows=rows(3)), SystemTable(name="Muscles", rows=rows(3)))
    _, second = words_of(tables, longest=5)
    assert second[0] == "Muscles"

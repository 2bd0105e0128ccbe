import re

import pytest

from gateway.store.search_words import search_patterns, search_words


def finds(typed: str, *stored: str) -> bool:
    """Returns whether what a user typed finds a stored text, as LIKE does."""
    words = search_words(*stored)
    patterns = [
        [form.removeprefix("%").removesuffix("%").replace("\\", "") for form in forms]
        for forms in search_patterns(typed)
    ]
    return all(any(form in words for form in forms) for forms in patterns)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("müller", "MÜLLER^Eva"),
        ("Muller", "Müller^Eva"),
        ("mueller", "Müller^Eva"),
        ("Müller", "Mueller^Eva"),
        ("eva müll", "Müller^Eva"),
        ("Müller, Eva", "Müller^Eva"),
        ("mu\u0308ller", "Müller^Eva"),
        ("sorensen", "Sørensen^Åse"),
        ("Soerensen aase", "Sørensen^Åse"),
        ("strauss", "Strauß"),
        ("o'neill", "O'Neill^Ann"),
        ("山田", "Yamada^Tarou=山田^太郎"),
        ("tarou", "Yamada^Tarou=山田^太郎"),
        ("4711-08", "4711-0815"),
        ("47110815", "4711-0815"),
        ("A_1", "A_1"),
    ],
)
def test_the_study_search_finds_a_name_or_id_however_it_is_typed(typed: str, stored: str) -> None:
    assert finds(typed, stored)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("uller", "Müller^Eva"), ("Müller Max", "Müller^Eva"), ("0815", "47110815"), ("x", "")],
)
def test_the_study_search_does_not_find_a_word_by_its_middle_or_by_another_word(
    typed: str, stored: str
) -> None:
    assert not finds(typed, stored)


@pytest.mark.parametrize("typed", ["", "  ", "^=", "%"])
def test_a_study_search_text_without_a_word_searches_for_nothing(typed: str) -> None:
    assert search_patterns(typed) == []


def test_wildcards_of_sql_in_the_study_search_have_no_effect() -> None:
    (forms,) = search_patterns("a_%")
    assert forms == ["% a\\_%"]
    assert re.fullmatch(r"(?: \w+)+", search_words("a%'; DROP\0"))

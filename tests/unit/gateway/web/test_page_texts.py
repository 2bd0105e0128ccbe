"""Tests that templates, script and code of the pages take all their texts from the catalogues."""

import ast
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest
from jinja2 import Environment

from gateway.config import Role
from gateway.store.conflict import ConflictKind, ConflictState
from gateway.store.counts_for_page_and_metrics import Group
from gateway.store.deliveries import DeliveryState
from gateway.store.destination_states import Reachability
from gateway.store.events import EventKind, ObjectKind
from gateway.store.job import JobState
from gateway.store.study_index import SearchedState
from gateway.web.permissions import Permission
from tests.conftest import REPOSITORY
from tests.unit.gateway.web.page_words import PageWords
from totalmap.finding import Verdict
from totalmap.structures import Limitation
from totalmap.texts.catalogue import Language, entries_in, texts_in

WEB = REPOSITORY / "gateway" / "web"
TEMPLATES = sorted((WEB / "templates").glob("*.jinja"))
ENTRIES = texts_in(Language.ENGLISH).entries
# Names that are the same in every language.
NAMES = re.compile(r"TotalMAP|OpenID Connect|Pixel Data")
LETTER = re.compile(r"[A-Za-z]")
# A text for people in a string of a template: words, or a word with a capital.
SENTENCE = re.compile(r"[A-Z][a-z]|[a-z] [a-z]")


def tokens(template: Path) -> Iterator[tuple[str, str]]:
    for _, kind, text in Environment(autoescape=True).lex(template.read_text()):
        yield kind, text


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_of_a_gateway_page_has_no_text_outside_the_catalogue(template: Path) -> None:
    html = "".join(text for kind, text in tokens(template) if kind == "data")
    found = re.sub(r"<[^>]*>", lambda tag: " ".join(attributes(tag[0])), html)
    assert LETTER.findall(NAMES.sub("", found)) == []
    strings = [text for kind, text in tokens(template) if kind == "string"]
    assert [text for text in strings if SENTENCE.search(text.strip("\"'"))] == []


def attributes(tag: str) -> list[str]:
    """Returns the attributes of a tag that a user reads or hears."""
    names = "alt|aria-label|placeholder|title|data-lost|data-not-done|data-failing|data-failed"
    return re.findall(rf'\b(?:{names})="([^"]*)"', tag)


def test_the_script_of_the_gateway_page_has_no_text_of_its_own() -> None:
    script = re.sub(r"//.*", "", (WEB / "static" / "page.js").read_text())
    strings = re.findall(r"'([^']*)'", script)
    assert "failing" in strings
    assert [text for text in strings if " " in text] == []


def used_keys() -> set[str]:
    """Returns the keys in templates and code, and the beginnings of keys that end with a point."""
    found: set[str] = set()
    for template in TEMPLATES:
        found |= {text.strip("\"'") for kind, text in tokens(template) if kind == "string"}
    for path in (REPOSITORY / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_text_of_the_gateway_pages_is_used() -> None:
    used = used_keys()
    pages = {
        key
        for name in ("dashboard.", "review.", "studies.")
        for key in entries_in(name, Language.ENGLISH)
        if not key.startswith("count.")
    }
    columns = ("account.", "accounts.", "conflict.", "history.", "log.", "overview.", "study.")
    unused = [
        key
        for key in sorted(pages)
        if not {key, key.removesuffix(".one").removesuffix(".many")} & used
        and f"{key.partition('.')[0]}." not in used
        and not (key.startswith(columns) and key.partition(".")[2] in used)
        and not (key.startswith("web.") and key.removeprefix("web.") in used)
        and not key.startswith(("size.", "account_error.provided_", "unmet."))
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("conflict_kind", ConflictKind),
        ("conflict_state", ConflictState),
        ("event", EventKind),
        ("group", Group),
        ("limitation", Limitation),
        ("no_job", Group),
        ("object", ObjectKind),
        ("permission", Permission),
        ("reachability", Reachability),
        ("review_verdict", Verdict),
        ("role", Role),
        ("role_meaning", Role),
        ("state", SearchedState),
    ],
)
def test_every_value_that_a_gateway_page_shows_has_a_text(
    table: str, values: type[StrEnum]
) -> None:
    keys = {f"{table}.{value.replace(' ', '_')}" for value in values}
    assert keys == {key for key in ENTRIES if key.partition(".")[0] == table}


def test_every_finding_of_quality_control_has_a_name() -> None:
    with_sentences = {key.split(".")[1] for key in ENTRIES if key.startswith("finding.")}
    with_names = {key.split(".")[1] for key in ENTRIES if key.startswith("finding_name.")}
    assert with_names == with_sentences


def test_every_state_of_jobs_and_deliveries_has_a_text_on_the_page() -> None:
    judged = {JobState.QUEUED, JobState.SEGMENTED, JobState.HELD, JobState.DEAD}
    assert {f"state.{state}" for state in JobState if state not in judged} <= ENTRIES.keys()
    open_states = {state for state in DeliveryState if state is not DeliveryState.DEAD}
    assert {f"delivery.{state}" for state in open_states} <= ENTRIES.keys()


def test_every_outcome_of_an_action_on_the_page_has_a_text() -> None:
    code = "".join(path.read_text() for path in WEB.glob("*_endpoints.py"))
    outcomes = {key.removeprefix("said.") for key in ENTRIES if key.startswith("said.")}
    assert outcomes == {said for said in outcomes if f'"{said}"' in code}


def test_words_of_a_gateway_page_are_its_texts_and_the_attributes_that_are_told() -> None:
    page = PageWords(
        '<html lang="de"><p title="a">b <b lang="en">log</b></p><img alt="c"><code>cmd</code>'
        '<input type="submit" value="d"><input name="x" value="data" placeholder="e"></html>'
    )
    assert page.language == "de"
    assert page.words == ["a", "b", "c", "d", "e"]

"""docs/troubleshooting.md explains every error class and every error message of the code."""

import re

import pytest

from tests.conftest import REPOSITORY
from tests.error_messages import VALUE, Raised, error_classes, raised_errors

DOCUMENT = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
ANY = re.compile(r"\.\.\.(?!\.)")
LEAST_LITERAL = 8  # letters and digits; a pattern with fewer would match anything

# Messages that are put together from parts that no literal text shows, and the text of the
# document that explains them.
COMPOSED_MESSAGES = {
    "app/argument_parser_base.py": "was called with an argument that it does not know",
    "totalmap/settings.py": "`--variant` is misspelt",
    "totalmap/settings_file.py": 'and "(in FILE or the environment)"',
    "app/command_line.py": "was called with an argument that it does not know",
    "cli/gateway.py": "the job is in a state that does not allow it",
    "gateway/commitment/destination_requests.py": 'then "with status 0x" and a number',
    "gateway/deliver/send_stow.py": "The name of a STOW-RS destination and an error",
    "gateway/receive/stow_protocol.py": "a request has at most ... MB",
    "gateway/supervise/settings_reload.py": "the text before it is an error of this page",
    "totalmap/existing_seg.py": "A path, a colon and a reason of the DICOM reader",
    "totalmap/writers/all_or_nothing.py": "The output folder, a colon and an error of the",
}


def plain(text: str) -> str:
    return text.replace("`", "").replace("\\", "")


def documented() -> dict[str, re.Pattern[str]]:
    """Returns the messages in the first column of the tables, each with its regular expression."""
    cells = re.findall(r"^\| (.*?) \| ", DOCUMENT, re.MULTILINE)
    lines = [line for cell in cells for line in cell.split("<br>")]
    spans = [span for line in lines for span in re.findall(r"^`([^`]+)`$", line)]
    texts = [text for text in spans if " " in text]  # not a class or a setting
    return {
        text: re.compile(".*".join(map(re.escape, ANY.split(text))), re.DOTALL) for text in texts
    }


def literal_characters(text: str) -> int:
    return sum(map(str.isalnum, text.replace(VALUE, "")))


def is_composed(raised: Raised) -> bool:
    return raised.template is None or literal_characters(raised.template) < LEAST_LITERAL


def explained(raised: Raised) -> bool:
    if is_composed(raised):
        place = raised.place.partition(":")[0]
        return plain(COMPOSED_MESSAGES.get(place, VALUE)) in plain(DOCUMENT)
    template = plain(raised.template or "")
    return any(pattern.fullmatch(template) for pattern in documented().values())


@pytest.mark.parametrize("name", sorted(error_classes()))
def test_the_troubleshooting_page_explains_every_error_class(name: str) -> None:
    assert f"`{name}`" in DOCUMENT


def test_the_troubleshooting_page_explains_every_error_message() -> None:
    missing = [
        f"{raised.place} {raised.kind}: `{(raised.template or '').replace(VALUE, '...')}`"
        for raised in raised_errors()
        if not explained(raised)
    ]
    assert missing == [], "\n".join(["explain these in docs/troubleshooting.md:", *missing])


def test_every_message_on_the_troubleshooting_page_is_one_of_the_code() -> None:
    templates = [plain(raised.template) for raised in raised_errors() if raised.template]
    stale = [
        text
        for text, pattern in documented().items()
        if not any(pattern.fullmatch(template) for template in templates)
    ]
    assert stale == [], "no code raises these any more; take them out of docs/troubleshooting.md"


def test_no_message_on_the_troubleshooting_page_matches_everything() -> None:
    short = [text for text in documented() if literal_characters(text) < LEAST_LITERAL]
    assert short == []

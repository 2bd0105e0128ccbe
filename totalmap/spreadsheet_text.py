"""Keeps spreadsheets from running text of other people as a formula (CSV injection, OWASP)."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_text(value: str) -> str:
    """Returns a value of a CSV file with an apostrophe before what begins a formula."""
    return f"'{value}" if value.startswith(_FORMULA) else value

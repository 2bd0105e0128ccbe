import pytest

from gateway.web.passwords import (
    hash_password,
    is_right,
    random_password,
    stronger_hash,
)
from totalmap.errors import ConfigError

GOOD = "Schlüssel zum Garten"


def test_only_the_right_password_of_an_account_is_accepted() -> None:
    hashed = hash_password("anna", GOOD)
    assert hashed.startswith("$argon2id$")
    assert is_right(hashed, GOOD)
    assert is_right(hashed, GOOD.replace("ü", "u\u0308")), "as another keyboard composes it"
    assert not is_right(hashed, f"{GOOD} ")
    assert not is_right(hashed, "")
    assert not is_right(hashed, "x" * 1_000_000)
    assert hash_password("anna", GOOD) != hashed, "it has no salt"


@pytest.mark.parametrize("password_hash", [None, "", "no hash"])
def test_without_an_account_or_a_hash_no_password_is_right(password_hash: str | None) -> None:
    assert not is_right(password_hash, GOOD)


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("short words", "has 11 characters, 12 are needed"),
        ("x y" * 100, "has 300 characters, 256 are allowed"),
        ("aaaaaaaaaaaaaa", "repeats a few characters"),
        ("abcabcabcabcab", "repeats a few characters"),
        ("123456789012", "a row of keys"),
        ("qwertyuiopasdf", "a row of keys"),
        ("Password1234!", "besides common words"),
        ("correct horse battery staple", "besides common words"),
        ("Hospital-2026!", "besides common words"),
        ("anna.berg-2026", "has 6 characters besides common words"),
        ("Annaannaanna1", "besides common words"),
    ],
)
def test_a_weak_password_of_an_account_is_refused_and_not_quoted(password: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        hash_password("Anna Berg", password)
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    "password", [GOOD, "eleven swans a-swimming", "vT7#mQ2z!pL9", "長い合言葉を十二文字以上で"]
)
def test_a_long_account_password_is_accepted_whatever_its_characters(password: str) -> None:
    assert is_right(hash_password("anna", password), password)


def test_random_account_passwords_are_accepted_and_differ() -> None:
    passwords = {random_password() for _ in range(3)}
    assert len(passwords) == 3
    for password in passwords:
        hash_password("anna", password)


def test_a_password_hash_that_was_made_in_a_weaker_way_is_replaced() -> None:
    weak = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQxMjM$gaPAVfNqE4WzUUZ0bLzTnA"
    better = stronger_hash(weak, GOOD)
    assert better is not None
    assert is_right(better, GOOD)
    assert stronger_hash(better, GOOD) is None

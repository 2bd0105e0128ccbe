"""Hashes and checks passwords of accounts (Argon2id, RFC 9106), and refuses weak ones.

The rules are those of NIST SP 800-63B: the length counts, common passwords and the user's name are
refused, and no kinds of characters are demanded.
"""

import re
import secrets
import unicodedata
from functools import cache
from importlib.resources import files
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from totalmap.errors import ConfigError
from totalmap.texts.catalogue import Message

LEAST_CHARACTERS = 12
MOST_CHARACTERS = 256
# Besides common words and the name of the account.
LEAST_OTHER_CHARACTERS = 8

# The second choice of RFC 9106: 64 MB for each password that is checked.
_HASHER = PasswordHasher()
# How many passwords may be checked at the same time, so that a flood does not fill the memory.
_AT_ONCE = BoundedSemaphore(2)
# A shorter part of a name occurs in many words.
_NAME_PART = 3
# Letters and digits that do not look like each other.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP_CHARACTERS = 4, 4
_LONGEST_UNIT = 4
_ROWS = ("0123456789" * 3, "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")
_ROWS_BOTH_WAYS = (*_ROWS, *(row[::-1] for row in _ROWS))


def hash_password(name: str, password: str) -> str:
    """Returns the hash of a new password.

    Args:
        name: The name of the account.
        password: As the user has chosen it.

    Raises:
        ConfigError: The password is too short, too long or too common. The message does not quote
            it.
    """
    normal = _normal(password)
    if len(normal) < LEAST_CHARACTERS:
        raise ConfigError(
            Message("account_error.short", characters=len(normal), needed=LEAST_CHARACTERS)
        )
    if len(normal) > MOST_CHARACTERS:
        raise ConfigError(
            Message("account_error.long", characters=len(normal), allowed=MOST_CHARACTERS)
        )
    if _is_pattern(normal):
        raise ConfigError(Message("account_error.pattern"))
    n_left = len(_without_common_words(name, normal))
    if n_left < LEAST_OTHER_CHARACTERS:
        raise ConfigError(
            Message("account_error.common", characters=n_left, needed=LEAST_OTHER_CHARACTERS)
        )
    with _AT_ONCE:
        return _HASHER.hash(normal)


def is_right(password_hash: str | None, password: str) -> bool:
    """Returns whether a password is that of a hash.

    Args:
        password_hash: None: there is no account; then it takes the same time.
        password: As the user gives it.
    """
    normal = _normal(password[: 2 * MOST_CHARACTERS])
    with _AT_ONCE:
        try:
            return _HASHER.verify(password_hash or _hash_of_nobody(), normal) and bool(
                password_hash
            )
        except (VerificationError, InvalidHashError):
            return False


def stronger_hash(password_hash: str, password: str) -> str | None:
    """Returns a new hash of a right password if the old one was made in a weaker way."""
    if not _HASHER.check_needs_rehash(password_hash):
        return None
    with _AT_ONCE:
        return _HASHER.hash(_normal(password))


def random_password() -> str:
    """Returns a random password of 79 bits that can be read aloud."""
    return "-".join(
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_CHARACTERS)) for _ in range(_GROUPS)
    )


def _normal(password: str) -> str:
    """Returns a password as it is hashed, however the keyboard composes its characters."""
    return unicodedata.normalize("NFKC", password)


def _is_pattern(password: str) -> bool:
    """Returns whether a password is a short text repeated, or a row of keys."""
    simple = password.casefold()
    units = range(1, _LONGEST_UNIT + 1)
    is_repeated = any(simple == (simple[:n] * len(simple))[: len(simple)] for n in units)
    return is_repeated or any(simple in row for row in _ROWS_BOTH_WAYS)


def _without_common_words(name: str, password: str) -> str:
    """Returns what is left of a password without common words and the name of the account."""
    left = password.casefold()
    own = [word for word in re.split(r"\W+", _normal(name).casefold()) if len(word) >= _NAME_PART]
    for word in sorted([*own, *_common_words()], key=len, reverse=True):
        left = left.replace(word, "")
    return left


@cache
def _common_words() -> frozenset[str]:
    text = files("gateway.web").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


@cache
def _hash_of_nobody() -> str:
    return _HASHER.hash(random_password())

"""Sets and checks the one password of the page, which is stored as a scrypt hash (RFC 7914)."""

import hashlib
import hmac
import secrets
from contextlib import suppress
from pathlib import Path

from gateway.store.file_storage import sync
from totalmap.errors import ConfigError, ResourceError

FILE_NAME = "web-password"
# The file with the password that the first start makes, until another one is set.
FIRST_FILE_NAME = "first-web-password"
LEAST_CHARACTERS = 10

# 16 MB and a tenth of a second for each guess: the advice of OWASP for little memory.
_COST, _BLOCK, _LANES = 2**14, 8, 5
_SALT_BYTES = 16
# Letters and digits that do not look like each other.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP_CHARACTERS = 4, 4


def set_password(storage_folder: Path, password: str) -> None:
    """Sets the password; users who are logged in stay so.

    Raises:
        ConfigError: It is too short.
        ResourceError: The file can't be written.
    """
    if len(password) < LEAST_CHARACTERS:
        raise ConfigError(
            f"the password has {len(password)} characters, {LEAST_CHARACTERS} are needed"
        )
    _write(storage_folder, password, replace=True)
    (storage_folder / FIRST_FILE_NAME).unlink(missing_ok=True)


def ensure_password(storage_folder: Path) -> Path | None:
    """Makes a random password if there is none; returns the file with it, or None.

    The password is neither logged nor printed, since others may read both.

    Raises:
        ResourceError: The file can't be written.
    """
    if (storage_folder / FILE_NAME).exists():
        return None
    password = "-".join(_random_group() for _ in range(_GROUPS))
    if not _write(storage_folder, password, replace=False):
        return None
    path = storage_folder / FIRST_FILE_NAME
    try:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(f"{password}\n", "ascii")
    except OSError as error:
        raise ResourceError(f"{path} can't be written: {error.strerror}") from error
    return path


def check_password(storage_folder: Path, password: str) -> bool:
    """Returns whether a password is right, in a time that does not depend on the difference.

    Raises:
        ResourceError: There is no password, or its file can't be read.
    """
    path = storage_folder / FILE_NAME
    try:
        salt, expected = (bytes.fromhex(part) for part in path.read_text("ascii").split(":"))
    except (OSError, ValueError) as error:
        raise ResourceError(f"{path} can't be read: {type(error).__name__}") from error
    return hmac.compare_digest(_hash(password, salt), expected)


def _write(storage_folder: Path, password: str, *, replace: bool) -> bool:
    """Writes the password file atomically; returns whether it did."""
    salt = secrets.token_bytes(_SALT_BYTES)
    aside = storage_folder / f"{FILE_NAME}.{secrets.token_hex(4)}"
    path = storage_folder / FILE_NAME
    try:
        storage_folder.mkdir(parents=True, exist_ok=True)
        aside.touch(mode=0o600, exist_ok=False)
        aside.write_text(f"{salt.hex()}:{_hash(password, salt).hex()}", "ascii")
        sync(aside)
        if replace:
            aside.replace(path)
            return True
        with suppress(FileExistsError):
            path.hardlink_to(aside)
            return True
        return False
    except OSError as error:
        raise ResourceError(f"{path} can't be written: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)


def _random_group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_CHARACTERS))


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES)

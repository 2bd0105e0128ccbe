"""Reads the files with secrets that settings name, and names files in messages."""

import re
from pathlib import Path

from totalmap.errors import ConfigError

_LONGEST_NAME = 255  # of a file, in Linux


def shown(path: Path | None, setting: str) -> str:
    """Returns how messages name the file of a certificate or key: by its path, if it is a path.

    Args:
        path: The path of the file; or the key itself, if a user has set it in place of the path.
        setting: The setting that names the file.
    """
    if path is None:
        return f"no {setting}"
    is_path = path.is_absolute() or re.fullmatch(r"\.[a-z]{2,4}", path.suffix)
    return str(path) if is_path and len(path.name) <= _LONGEST_NAME else setting


def read_secret(path: Path, setting: str) -> str:
    """Returns the first line of a file.

    Args:
        path: The path of the file. No message contains it: it may be the secret itself.
        setting: The setting that names the file, for the message.

    Raises:
        ConfigError: It can't be read or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except OSError as error:
        raise ConfigError(
            f"the file that {setting} names can't be read: {error.strerror}"
        ) from None
    except ValueError:  # not UTF-8, or an impossible path
        raise ConfigError(f"the file that {setting} names can't be read as text") from None
    if not secret:
        raise ConfigError(f"the file that {setting} names has to hold a secret in its first line")
    return secret

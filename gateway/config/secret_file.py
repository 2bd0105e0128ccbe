"""Reads a password or a token from the file that a setting names."""

from pathlib import Path

from totalmap.errors import ConfigError


def read_secret(path: Path, setting: str) -> str:
    """Returns the first line of a file.

    Args:
        path: Of the file. It is in no message: somebody may have put the secret itself there.
        setting: That names the file, for the message.

    Raises:
        ConfigError: It can't be read or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except OSError as error:
        raise ConfigError(
            f"the file that {setting} names can't be read: {error.strerror}"
        ) from None
    except ValueError:  # bytes that are not UTF-8, or a path that can be none
        raise ConfigError(f"the file that {setting} names can't be read as text") from None
    if not secret:
        raise ConfigError(f"the file that {setting} names has to hold a secret in its first line")
    return secret

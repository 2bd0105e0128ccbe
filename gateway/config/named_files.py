"""Lists and reads the files that settings name: secrets, certificates; names them in messages."""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from totalmap.errors import ConfigError

_LONGEST_NAME = 255  # of a file, in Linux
_FILE_SUFFIX = "_file"


def named_files(value: object, key: str = "") -> Iterator[tuple[str, Path]]:
    """Yields the keys and paths of all files that a section names: its keys end with `_file`.

    An item of a list has its name in the key, such as `destinations[pacs].dicom.ca_file`; without a
    name, its number.
    """
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from named_files(getattr(value, name), f"{key}.{name}" if key else name)
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from named_files(item, f"{key}[{getattr(item, 'name', number)}]")
    elif isinstance(value, Path) and key.endswith(_FILE_SUFFIX):
        yield key, value


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


def tls_context_of_client(ca_file: Path | None, section: str) -> ssl.SSLContext:
    """Returns a TLS context that checks the certificates of servers.

    Args:
        ca_file: PEM, with the authorities of these certificates; None: the usual authorities.
        section: The section that names the file, for the message.

    Raises:
        ConfigError: The file can't be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"{section}: {shown(ca_file, 'ca_file')} can't be used: {error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

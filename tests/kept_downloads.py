"""Keeps what tests download in ~/.cache/totalmap-tests, between runs and between clones."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

KEPT = Path.home() / ".cache" / "totalmap-tests"


@cache
def kept_folder(name: str, made_of: str, make: Callable[[Path], str]) -> Path | str:
    """Returns a folder, which is made if there is none yet, or why it can't be made.

    Args:
        name: Says what it has.
        made_of: A change of this text gives another folder.
        make: Makes the folder. It returns what it can't get, or nothing. A folder may be moved
            after it was made.
    """
    folder = KEPT / f"{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    if not folder.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=KEPT) as temporary:
            new = Path(temporary) / name
            failure = make(new)
            if failure:
                return failure
            with suppress(OSError):  # another process was faster
                new.rename(folder)
    return folder


def last_line(*texts: str) -> str:
    """Returns the last line of the first text that has any."""
    text = next((text.strip() for text in texts if text.strip()), "no message")
    return text.rpartition("\n")[2]

"""Writes a single file that is whole or not there, also if two threads write it at once."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from totalmap.writers.all_or_nothing import PART_SUFFIX, output_error, sync_folder


def write_atomically(
    target: Path, write: Callable[[BinaryIO], None], read_back: Callable[[Path], None]
) -> None:
    """Writes a file under a temporary name in its folder, syncs it, reads it back, and renames it.

    An earlier file is replaced. A kill leaves at most a file that ends with `.part`.

    Args:
        target: The file; its folder is created.
        write: Writes the content to an open file.
        read_back: Raises an error if the file that was written is wrong.

    Raises:
        ResourceError: The disk is full.
        ConfigError: The folder can't be written.
    """
    partial = target.with_name(f".{uuid4().hex}{PART_SUFFIX}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            read_back(partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(target.parent)
    except OSError as error:
        raise output_error(f"{target.name} can't be written", error) from error


def write_text_atomically(target: Path, text: str) -> None:
    """Writes a text in UTF-8, as `write_atomically`.

    Raises:
        ResourceError: The disk is full.
        ConfigError: The folder can't be written.
    """
    content = text.encode("utf-8")

    def write(file: BinaryIO) -> None:
        file.write(content)

    write_atomically(target, write, lambda _: None)

"""Reads attributes of a stored file, of which nothing is assumed: it may be broken."""

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from totalmap.dicom.file_reader import read_header
from totalmap.errors import ResourceError
from totalmap.log import get_logger

log = get_logger()


def read_stored_header(path: Path, tags: Sequence[BaseTag]) -> Dataset | None:
    """Returns attributes of a stored file; None: its header is broken, which is logged.

    Args:
        path: The file.
        tags: The attributes.

    Raises:
        FileNotFoundError: There is no such file.
        ResourceError: The disk does not answer; a later attempt may succeed.
    """
    try:
        with path.open("rb") as file:
            return read_header(file, tags, needs_prefix=True)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # pydicom raises many kinds on broken input
        log.warning("header_not_read", file=path.name, kind=type(error).__name__)
        return None


def unreadable(path: Path, error: OSError) -> ResourceError:
    """Returns the error for a stored file that the disk does not give."""
    return ResourceError(f"instance {path.name} of a study can't be read: {error.strerror}")

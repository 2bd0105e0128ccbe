"""Defines all errors that TotalMAP raises on purpose, with their exit statuses.

TotalMapError
├── ConfigError            64   settings or arguments are wrong
├── InputError             65   this study can't be segmented; never retried
│   ├── NoSuitableSeries        no series passes the selection rules
│   ├── MixedPatients           the slices of a series belong to several patients
│   ├── UnsupportedGeometry     the slices do not form a regular volume
│   ├── IncompleteSeries        slices are missing or doubled
│   ├── UnreadableInstance      a file of the series can't be read or decoded
│   └── NothingCorrected        a correction has the labels of the result
├── ModelError             66   weights missing, not on record or changed; licence missing
│   └── UnsupportedModel        our engine does not support the network; TotalSegmentator may
├── OutputError            70   our own check of a result failed: nothing is released
├── InternalError          70   a defect of TotalMAP
└── ResourceError          75   disk full, out of memory: try again
    ├── MemoryInUse             the memory is free when other runs of this machine are done
    └── Stopped                 a signal stopped the run

The numbers follow BSD sysexits.h. A message names the problem, the value, the limit and the
remedy. It never holds patient data or the password of a URL.
"""

import re
import traceback
from enum import IntEnum
from pathlib import Path
from typing import ClassVar

# The user information of a URL (RFC 3986, 3.2.1). A password may itself hold "/" and "@".
_USER_INFORMATION = re.compile(r"(?<=://)\S*@")


class ExitStatus(IntEnum):
    """Exit statuses of all commands; from 64 on as in BSD sysexits.h.

    `check` ends with REVIEW or REJECTED, and `verify` with DIFFERENT.
    """

    SUCCEEDED = 0
    REVIEW = 1
    DIFFERENT = 1
    REJECTED = 3
    USAGE = 64
    INPUT = 65
    MODELS = 66
    OWN_CHECK = 70
    TRY_AGAIN = 75


def without_credentials(text: str) -> str:
    """Returns the text without users and passwords in URLs; the same object if it has none."""
    return _USER_INFORMATION.sub("", text) if _USER_INFORMATION.search(text) else text


class TotalMapError(Exception):
    """Base of all errors that TotalMAP raises on purpose.

    The message is kept without the user information of URLs, since messages of libraries may quote
    whole URLs.
    """

    exit_status: ClassVar[ExitStatus] = ExitStatus.OWN_CHECK

    def __init__(self, message: str) -> None:
        super().__init__(without_credentials(message))


class ConfigError(TotalMapError):
    """Settings or arguments are wrong."""

    exit_status = ExitStatus.USAGE


class InputError(TotalMapError):
    """This study can't be segmented; trying again is useless."""

    exit_status = ExitStatus.INPUT


class NoSuitableSeries(InputError):
    """No series of the study passes the selection rules."""


class MixedPatients(InputError):
    """The slices of a series belong to several patients."""


class UnsupportedGeometry(InputError):
    """The slices of the series do not form a regular volume."""


class IncompleteSeries(InputError):
    """Slices of the series are missing or doubled."""


class UnreadableInstance(InputError):
    """A file of the series can't be read or its pixels can't be decoded."""


class NothingCorrected(InputError):
    """A correction has the labels of the result that it should correct."""


class ModelError(TotalMapError):
    """Weights are missing, not on record, or differ from the record; or a licence is missing."""

    exit_status = ExitStatus.MODELS


class UnsupportedModel(ModelError):
    """Our engine does not support a network."""


class OutputError(TotalMapError):
    """A result did not pass our own check, so nothing is released."""

    exit_status = ExitStatus.OWN_CHECK


class InternalError(TotalMapError):
    """A defect of TotalMAP: an unexpected exception was raised."""


def internal_error(error: Exception) -> InternalError:
    """Returns the error for an unexpected exception.

    The message of the exception may quote patient data and is not repeated.
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    return InternalError(
        f"unexpected {type(error).__name__} at {Path(place.filename).name}:{place.lineno}; "
        "this is a defect of TotalMAP, please report it"
    )


class ResourceError(TotalMapError):
    """Memory, disk space or a peer is unavailable; the same study may succeed later."""

    exit_status = ExitStatus.TRY_AGAIN


class MemoryInUse(ResourceError):
    """A study fits the memory only when other runs on this machine are done."""


class Stopped(ResourceError):
    """A signal stopped the run before its end."""

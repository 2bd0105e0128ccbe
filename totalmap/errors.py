"""Every error that TotalMAP raises on purpose, and the exit status that each one means.

TotalMapError
├── ConfigError            64   settings or arguments are wrong
├── InputError             65   this study can't be segmented; never retried
│   ├── NoSuitableSeries        no series passes the selection rules
│   ├── MixedPatients           the slices of a series are not of one patient
│   ├── UnsupportedGeometry     the slices do not form a regular volume
│   ├── IncompleteSeries        slices are missing or doubled
│   └── UnreadableInstance      a file of the series can't be read or decoded
├── ModelError             66   weights missing, not on record or changed; licence missing
│   └── UnsupportedModel        our engine does not run such a network; TotalSegmentator may
├── OutputError            70   our own check of a result failed: nothing is released
├── InternalError          70   a defect of ours
└── ResourceError          75   disk full, out of memory: worth another try
    └── Stopped                 somebody stopped the run

The numbers follow BSD sysexits.h. A message says what happened, the value, the limit and what
to do, and never holds patient data, nor a password that stands in a URL.
"""

import re
import traceback
from enum import IntEnum
from pathlib import Path
from typing import ClassVar

# The user information of a URL (RFC 3986, 3.2.1). A password may itself hold "/" and "@".
_USER_INFORMATION = re.compile(r"(?<=://)\S*@")


class ExitStatus(IntEnum):
    """Every status with which a command of TotalMAP ends; from 64 on as in BSD sysexits.h.

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
    """Returns a text in which no URL holds a user or a password any more."""
    return _USER_INFORMATION.sub("", text)


class TotalMapError(Exception):
    """Base of all errors that TotalMAP raises on purpose.

    The message is kept without the user information of URLs: what a library says of a URL may
    quote it whole.
    """

    exit_status: ClassVar[ExitStatus] = ExitStatus.OWN_CHECK

    def __init__(self, message: str) -> None:
        super().__init__(without_credentials(message))


class ConfigError(TotalMapError):
    """Settings or arguments are wrong."""

    exit_status = ExitStatus.USAGE


class InputError(TotalMapError):
    """This study can't be segmented, however often it is tried."""

    exit_status = ExitStatus.INPUT


class NoSuitableSeries(InputError):
    """No series of the study passes the selection rules."""


class MixedPatients(InputError):
    """The slices of a series disagree in whose they are."""


class UnsupportedGeometry(InputError):
    """The slices of the series do not form a regular volume."""


class IncompleteSeries(InputError):
    """Slices of the series are missing or doubled."""


class UnreadableInstance(InputError):
    """A file of the series can't be read or its pixels can't be decoded."""


class ModelError(TotalMapError):
    """Weights are missing, not on record, or differ from the record; or a licence is missing."""

    exit_status = ExitStatus.MODELS


class UnsupportedModel(ModelError):
    """A network needs something that our engine does not do."""


class OutputError(TotalMapError):
    """A result did not pass our own check, so nothing is released."""

    exit_status = ExitStatus.OWN_CHECK


class InternalError(TotalMapError):
    """A defect of ours: something that nobody thought of was raised."""


def internal_error(error: Exception) -> InternalError:
    """Returns what to say of an exception that nobody thought of.

    Its own message may quote patient data and is therefore not repeated.
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    return InternalError(
        f"unexpected {type(error).__name__} at {Path(place.filename).name}:{place.lineno}; "
        "this is a defect of TotalMAP, please report it"
    )


class ResourceError(TotalMapError):
    """The machine ran out of something; the same study may succeed later."""

    exit_status = ExitStatus.TRY_AGAIN


class Stopped(ResourceError):
    """The run was told to stop before it was done."""

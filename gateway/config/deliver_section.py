"""The `destinations` and `deliver` sections: where results go, and how often that is tried."""

from pathlib import Path
from typing import Self

from pydantic import Field, HttpUrl, PositiveFloat, PositiveInt, model_validator

from gateway.config.value_types import AeTitle, Name, Port
from totalmap.settings_file import Section

# The name that stands for the destination that sent the study.
SENDER = "sender"


class DicomDestination(Section):
    """A DICOM node that takes results by C-STORE.

    Attributes:
        ae_title: Its AE title.
        calling_ae_title: The AE title of the gateway in these associations.
        connect_seconds: How long to wait for a connection, and for each response.
        storage_commitment: Whether to ask it to commit itself to keep the results (PS3.4 J). If
            receive.senders are named, it has to be one of them, since it may report later.
        ca_file: PEM, with the authorities of its certificate; None: no encryption.
        certificate_file: PEM, the gateway's certificate, if one is demanded; with key_file.
    """

    ae_title: AeTitle
    address: str
    port: Port = 104
    calling_ae_title: AeTitle = "TOTALMAP"
    connect_seconds: PositiveFloat = 30.0
    storage_commitment: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


class StowDestination(Section):
    """A DICOMweb server that takes results by STOW-RS (PS3.18 10.5).

    Attributes:
        url: The URL of the service, to which `/studies` is added.
        user: With password_file, for basic authentication.
        password_file: A file whose first line is the password.
        token_file: A file whose first line is sent as a bearer token.
        ca_file: PEM, with the authorities of the server's certificate; None: the usual ones.
        connect_seconds: How long to wait for a connection, and for each response.
    """

    url: HttpUrl = Field(repr=False)  # it may hold a password
    user: str | None = None
    password_file: Path | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    connect_seconds: PositiveFloat = 30.0


class DestinationSection(Section):
    """A destination of results, either by `dicom` or by `stow`.

    Attributes:
        kinds: The kinds of results to send, as in `results.kinds` of app.yaml; empty: all DICOM
            results. A note that rejects results is always sent with them.
    """

    name: Name
    dicom: DicomDestination | None = None
    stow: StowDestination | None = None
    kinds: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.dicom is None) == (self.stow is None):
            raise ValueError(f"destination {self.name} needs either dicom or stow")
        if self.name == SENDER:
            raise ValueError(f"no destination can be called {SENDER}")
        return self

    @property
    def asks_for_commitment(self) -> bool:
        """Whether it is asked to commit itself to keep the results."""
        return self.dicom is not None and self.dicom.storage_commitment


class DeliverSection(Section):
    """How often delivery is tried to a destination that does not take results.

    Attributes:
        first_retry_seconds: The wait after the first failure; each further wait is twice as long.
        longest_retry_seconds: The longest wait.
        give_up_days: After so many days a delivery is given up, until a user retries it.
        at_once: The number of deliveries to one destination at the same time.
        test_seconds: The time between two tests whether a destination answers.
    """

    first_retry_seconds: PositiveFloat = 10.0
    longest_retry_seconds: PositiveFloat = 600.0
    give_up_days: PositiveFloat = 7.0
    at_once: PositiveInt = 2
    test_seconds: PositiveFloat = 60.0


def retry_seconds(failures: int, first: float, longest: float) -> float:
    """Returns how many seconds to wait before the next attempt; each wait is twice as long.

    Args:
        failures: How many attempts failed before the one that has just failed.
        first: The wait after the first failure, in seconds.
        longest: The longest wait, in seconds.
    """
    doublings = min(failures, 64)
    return min(first * 2.0**doublings, longest)

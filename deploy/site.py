"""What a site decides itself, and what app.yaml decides for it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from totalmap.errors import ConfigError

if TYPE_CHECKING:  # the command line shows these defaults and need not wait for the settings
    from totalmap.settings import Settings

QUEUE_MINUTES = 120  # that a study may wait for others under Argo
DOCKER_GRACE_MINUTES = 5  # between the plug-in's time-out and the Workflow Manager's
EXPORT_MINUTES = 15

_USER = re.compile(r"[1-9]\d*:\d+")
_IMAGE = re.compile(r"[\w./:@-]*")
_MEMORY = re.compile(r"([1-9]\d*)(Mi|Gi)")


class Target(StrEnum):
    """Where TotalMAP is to run.

    `docker` is one machine: MONAI Deploy Express, or Docker alone. `argo` is Kubernetes with Argo.
    """

    DOCKER = "docker"
    ARGO = "argo"


class Priority(StrEnum):
    """The three priorities that the Workflow Manager accepts."""

    HIGH = "high"
    STANDARD = "standard"
    LOW = "low"


@dataclass(frozen=True)
class Site:
    """What a site says; the defaults fit MONAI Deploy Express and Argo's own installation.

    Attributes:
        ae_title: Where studies are sent to have them segmented.
        pacs: The name that the Informatics Gateway knows the PACS by: results go there.
        origins: Names of the DICOM sources that may send; none is every known one.
        image: Empty is totalmap:<version>.
        user: Under which user and group TotalMAP runs, in numbers.
        timeout_minutes: What one study may take.
        retention_days: After which the gateway's copy of a study is deleted.
        server_url: Of Argo; of Docker it is the socket.
        allow_insecure: Takes whatever certificate Argo shows.
        models_claim: PersistentVolumeClaim with weights; empty: they are in the image.
        parallel: How many studies are segmented at a time under Argo.
        notify: Who gets a mail about a study that can't be segmented (Argo).
    """

    ae_title: str = "TOTALMAP"
    pacs: str = "ORTHANC"
    origins: tuple[str, ...] = ()
    image: str = ""
    user: str = "1000:1000"
    timeout_minutes: int = 30
    retention_days: int = 3
    server_url: str = "https://argo-server.argo:2746"
    allow_insecure: bool = False
    namespace: str = "argo"
    models_claim: str = ""
    priority: Priority = Priority.STANDARD
    parallel: int = 1
    notify: tuple[str, ...] = ()

    @property
    def uid(self) -> int:
        """The user's number."""
        return int(self.user.partition(":")[0])

    @property
    def gid(self) -> int:
        """The group's number."""
        return int(self.user.partition(":")[2])


@dataclass(frozen=True)
class Application:
    """What app.yaml says about the application.

    Attributes:
        memory: A Kubernetes quantity, in Mi or Gi.
    """

    version: str
    image: str
    cpu: int
    memory: str
    gpu: int

    @property
    def docker_memory(self) -> str:
        """The same as Docker writes it."""
        return self.memory.replace("Gi", "g").replace("Mi", "m")


def application(settings: "Settings", site: Site) -> Application:
    """Reads what the files need, and refuses what no site could run.

    Raises:
        ConfigError: A resource or the user is not a number, the image is no reference, or no result
            can be sent to a PACS.
    """
    from totalmap.settings import DICOM_RESULTS

    if not _USER.fullmatch(site.user):
        raise ConfigError(
            f"user is {site.user!r}: write the numbers of a user other than root and of a group, "
            "for example 1000:1000"
        )
    if not _IMAGE.fullmatch(site.image):
        raise ConfigError(f"image is {site.image!r}: write [registry/]name:version")
    if not DICOM_RESULTS.intersection(settings.results.kinds):
        raise ConfigError(
            f"results.kinds is {', '.join(settings.results.kinds)}: none of them can be sent to a "
            "PACS; add seg, sr, rtstruct or preview"
        )
    resources: dict[str, Any] = settings.resources.model_extra or {}
    memory = str(resources.get("memory", "8Gi"))
    if not _MEMORY.fullmatch(memory):
        raise ConfigError(f"resources.memory is {memory!r}: write Mi or Gi, for example 8Gi")
    version = settings.application.version
    return Application(
        version=version,
        image=site.image or f"totalmap:{version}",
        cpu=_count("cpu", resources.get("cpu", 2), at_least=1),
        memory=memory,
        gpu=_count("gpu", resources.get("gpu", 0), at_least=0),
    )


def _count(key: str, value: object, at_least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ConfigError(f"resources.{key} is {value!r}: write a whole number from {at_least} on")
    return value

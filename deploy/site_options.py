"""Defines the options of a site, and reads the application's values from app.yaml."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from totalmap.errors import ConfigError

if TYPE_CHECKING:  # the command line shows the defaults without loading the settings
    from totalmap.settings import Settings

QUEUE_MINUTES = 120  # the longest time that a study waits for others under Argo
DOCKER_GRACE_MINUTES = 5  # from the time-out of the plug-in to that of the Workflow Manager
EXPORT_MINUTES = 15

_USER = re.compile(r"[1-9]\d*:\d+")
_IMAGE = re.compile(r"[\w./:@-]*")
_MEMORY = re.compile(r"([1-9]\d*)(Mi|Gi)")


class Target(StrEnum):
    """The system on which TotalMAP runs.

    `docker` is one machine with MONAI Deploy Express or with Docker alone. `argo` is Kubernetes
    with Argo.
    """

    DOCKER = "docker"
    ARGO = "argo"


class Priority(StrEnum):
    """The three priorities that the Workflow Manager accepts."""

    HIGH = "high"
    STANDARD = "standard"
    LOW = "low"


class ReviewMode(StrEnum):
    """The three modes of an application that the Workflow Manager accepts in a clinical review."""

    QA = "QA"
    RESEARCH = "Research"
    CLINICAL = "Clinical"


@dataclass(frozen=True)
class ClinicalReview:
    """A review of every result in AIDE before it is exported.

    Attributes:
        mode: How the site uses the application; AIDE shows it to the reviewer.
        roles: The roles of AIDE that may decide; empty: clinician.
        hours: The time for the decision. After it the study fails.
    """

    mode: ReviewMode
    roles: tuple[str, ...] = ()
    hours: int = 48


@dataclass(frozen=True)
class Site:
    """The options of a site; the defaults fit MONAI Deploy Express and Argo's own installation.

    Attributes:
        ae_title: The AE title to which studies are sent to be segmented.
        pacs: The Informatics Gateway's name of the PACS that receives the results.
        origins: Names of the DICOM sources that may send; empty: every known source.
        image: The image; empty: totalmap:<version>.
        user: The numbers of the user and the group of TotalMAP's process, as `1000:1000`.
        timeout_minutes: The longest time for one study.
        retention_days: The number of days after which the Informatics Gateway deletes a study.
        server_url: The address of Argo's server.
        namespace: The namespace in which Argo runs workflows.
        allow_insecure: Whether any certificate of Argo's server is accepted.
        models_claim: The PersistentVolumeClaim with the weights; empty: the image has them.
        priority: The priority of the pods (Argo).
        parallel: The number of studies that are segmented at a time (Argo).
        notify: The mail addresses for studies that can't be segmented (Argo).
        review: The clinical review of the results (Argo); None: they are exported without one.
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
    review: ClinicalReview | None = None

    @property
    def uid(self) -> int:
        """The number of the user."""
        return int(self.user.partition(":")[0])

    @property
    def gid(self) -> int:
        """The number of the group."""
        return int(self.user.partition(":")[2])


@dataclass(frozen=True)
class Application:
    """The values of app.yaml that describe the application.

    Attributes:
        title: The name of the application for people.
        cpu: The number of processors.
        memory: A Kubernetes quantity, in Mi or Gi.
        gpu: The number of GPUs.
    """

    title: str
    version: str
    image: str
    cpu: int
    memory: str
    gpu: int

    @property
    def docker_memory(self) -> str:
        """The memory as Docker writes it."""
        return self.memory.replace("Gi", "g").replace("Mi", "m")


def application(settings: "Settings", site: Site) -> Application:
    """Returns the values of app.yaml for the files, and refuses values that no site can run.

    Raises:
        ConfigError: A resource or the user is not a number, the image is not an image reference, or
            no kind of result can be sent to a PACS.
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
        title=settings.application.title,
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

"""When the supervisor restarts a process of the gateway."""

from pydantic import PositiveFloat

from totalmap.settings_file import Section


class MemorySection(Section):
    """The memory that each process may use, without files that it maps; more restarts it.

    Attributes:
        receive_gb: Each receiving process, in GB.
        dispatch_gb: The dispatching process, in GB.
        web_gb: The process of the page, in GB.
        work_gb: Each worker, in GB; None: nine tenths of the memory of the machine or container.
    """

    receive_gb: PositiveFloat = 2.0
    dispatch_gb: PositiveFloat = 2.0
    web_gb: PositiveFloat = 1.0
    work_gb: PositiveFloat | None = None


class SuperviseSection(Section):
    """When the supervisor restarts a process of the gateway.

    Attributes:
        hang_seconds: A process is restarted that has no heartbeat for so long.
        start_seconds: The same while a process starts.
        memory: How much memory each process may use.
    """

    hang_seconds: PositiveFloat = 20.0
    start_seconds: PositiveFloat = 120.0
    memory: MemorySection = MemorySection()

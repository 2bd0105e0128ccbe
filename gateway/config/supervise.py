"""When the supervisor restarts a process of the gateway."""

from pydantic import PositiveFloat

from totalmap.settings_file import Section


class MemorySection(Section):
    """How much memory each process may use, beside files that it maps; more restarts it.

    Attributes:
        receive_gb: Each process that receives.
        dispatch_gb: The dispatcher.
        web_gb: The page.
        work_gb: Each worker; None: nine tenths of what the machine, or the container, has.
    """

    receive_gb: PositiveFloat = 2.0
    dispatch_gb: PositiveFloat = 2.0
    web_gb: PositiveFloat = 1.0
    work_gb: PositiveFloat | None = None


class SuperviseSection(Section):
    """When the supervisor restarts a process of the gateway.

    Attributes:
        hang_seconds: A process that shows no sign of life for so long.
        start_seconds: The same while it starts.
        memory: How much memory each process may use.
    """

    hang_seconds: PositiveFloat = 20.0
    start_seconds: PositiveFloat = 120.0
    memory: MemorySection = MemorySection()

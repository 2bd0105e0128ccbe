"""Hands the settings of the gateway to its processes, in memory that they inherit (memfd).

All processes so have the settings that the supervisor has accepted, whatever gateway.yaml says
meanwhile, and no secret is written to a disk or a command line.
"""

import os

from gateway.config.settings import GatewaySettings


class InheritedSettings:
    """Settings in memory that a child process inherits.

    Attributes:
        descriptor: To be passed to the process, and to `read_inherited_settings` there.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.descriptor = os.memfd_create("settings")
        with open(self.descriptor, "wb", closefd=False) as memory:
            memory.write(settings.model_dump_json().encode())

    def close(self) -> None:
        """Releases the memory; processes that have inherited it keep it."""
        os.close(self.descriptor)


def read_inherited_settings(descriptor: int) -> GatewaySettings:
    """Returns the settings that the parent of this process hands over."""
    text = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    return GatewaySettings.model_validate_json(text)

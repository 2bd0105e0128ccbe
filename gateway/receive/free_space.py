"""Refuses what would leave less space on the disk than is to stay free."""

from gateway.store.files import BYTES_PER_GB, Storage
from totalmap.errors import ResourceError


class FreeSpace:
    """The space that may still be written to.

    Args:
        storage: On whose disk.
        keep_free_gb: How much has to stay free.
    """

    def __init__(self, storage: Storage, keep_free_gb: float) -> None:
        self._storage = storage
        self._keep_free_bytes = keep_free_gb * BYTES_PER_GB

    def require(self, n_bytes: int) -> None:
        """Returns where so many bytes may be written.

        Asked before each piece is written, it holds for all receivers together, since each sees
        what the others have written.

        Raises:
            ResourceError: Less than receive.keep_free_gb would stay free.
        """
        free = self._storage.free_bytes()
        if free - n_bytes < self._keep_free_bytes:
            raise ResourceError(
                f"the disk has {free / BYTES_PER_GB:.1f} GB left, receive.keep_free_gb is "
                f"{self._keep_free_bytes / BYTES_PER_GB:g}"
            )

"""Refuses data that would leave too little free space on the disk."""

from gateway.store.file_storage import BYTES_PER_GB, Storage
from totalmap.errors import ResourceError


class FreeSpace:
    """The free space on the disk of a storage.

    Args:
        storage: The storage.
        keep_free_gb: The space that has to stay free, in GB.
    """

    def __init__(self, storage: Storage, keep_free_gb: float) -> None:
        self._storage = storage
        self._keep_free_bytes = keep_free_gb * BYTES_PER_GB

    def require(self, n_bytes: int) -> None:
        """Makes sure that a number of bytes may be written.

        If it is called before each write, the limit holds for all receivers together.

        Raises:
            ResourceError: Less than receive.keep_free_gb would stay free.
        """
        free = self._storage.free_bytes()
        if free - n_bytes < self._keep_free_bytes:
            raise ResourceError(
                f"the disk has {free / BYTES_PER_GB:.1f} GB left, receive.keep_free_gb is "
                f"{self._keep_free_bytes / BYTES_PER_GB:g}"
            )

"""Keeps networks that OpenVINO has compiled, so that later processes need not convert them again.

OpenVINO would read any file in its own cache folder (CACHE_DIR), whoever wrote it. Here, a file is
read only if it belongs to this user alone, is complete, and was made from the same weights under
the same conditions: its first line names them, with the SHA-256 of the rest.
"""

import hashlib
import json
from collections.abc import Mapping

import torch

from totalmap.engine.arithmetic.shortcut_conditions import Conditions, current_conditions, digest
from totalmap.private_cache import PrivateCache

# A network of TotalSegmentator has 63 to 125 MB, and a task up to five of them.
LARGEST_BYTES = 512 * 2**20
MOST_BYTES = 2 * 2**30
_PREFIX = "network-"
_LINE_END = b"\n"


class KeptNetwork:
    """The file of one network, for one set of conditions."""

    def __init__(self, cache: PrivateCache, conditions: Conditions) -> None:
        self._cache = cache
        self._conditions = conditions
        self.name = f"{_PREFIX}{digest(conditions)}.bin"

    def read(self) -> bytes | None:
        """Returns the network as OpenVINO exported it; None if no file can be trusted."""
        content = self._cache.read(self.name, LARGEST_BYTES)
        if content is None:
            return None
        end = content.find(_LINE_END)
        exported = content[end + 1 :]
        try:
            head = json.loads(content[: max(end, 0)])
            conditions, checksum = dict(head["conditions"]), head["sha256"]
        except (ValueError, KeyError, TypeError):  # also JSONDecodeError and UnicodeDecodeError
            self.ignore("is damaged")
            return None
        if conditions != self._conditions:
            self.ignore("was made under other conditions")
            return None
        if checksum != hashlib.sha256(exported).hexdigest():
            self.ignore("is damaged")
            return None
        return exported

    def write(self, exported: bytes) -> None:
        """Keeps a network; removes the oldest ones if all together take too much space."""
        head = {"conditions": self._conditions, "sha256": hashlib.sha256(exported).hexdigest()}
        content = json.dumps(head).encode() + _LINE_END + exported
        if len(content) <= LARGEST_BYTES:
            self._cache.put(self.name, content, family=_PREFIX, most_bytes=MOST_BYTES)

    def ignore(self, reason: str) -> None:
        """Logs that the file is not used."""
        self._cache.ignored(self.name, reason)


class _Folder:
    """The folder in which this process keeps networks; None: it keeps none."""

    cache: PrivateCache | None = None


def keep_in(cache: PrivateCache | None) -> None:
    """Has this process use networks that others have compiled, and keep those that it compiles."""
    _Folder.cache = cache


def kept_network(network: torch.nn.Module, options: Mapping[str, str]) -> KeptNetwork | None:
    """Returns the file of a network; None if nothing is kept.

    Args:
        network: The network; its layers and weights are among the conditions.
        options: All else that decides how it is compiled, and the version of the compiler.
    """
    cache = _Folder.cache
    if cache is None or cache.path is None:
        return None
    conditions = current_conditions()
    if conditions is None:
        return None
    return KeptNetwork(cache, {**conditions, **options, "network": _sha256(network)})


def _sha256(network: torch.nn.Module) -> str:
    """Returns the SHA-256 of the layers and weights of a network."""
    content = hashlib.sha256(repr(network).encode())
    for name, weight in network.state_dict().items():
        content.update(f"\0{name} {weight.dtype} {tuple(weight.shape)}\0".encode())
        content.update(weight.detach().contiguous().view(torch.uint8).numpy().data)
    return content.hexdigest()

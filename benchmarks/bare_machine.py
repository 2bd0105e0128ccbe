"""Lets benchmarks.gpu run on a bare machine: it has Python, PyTorch, NumPy, SciPy and no network.

The packages of `CARRIED` are carried there as wheels. This prints them with the versions of this
environment:

    python -m benchmarks.bare_machine

The import of this module lets the packages of `UNUSED` be imported where they are missing.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType

CARRIED = (
    "acvl-utils",
    "annotated-types",
    "batchgenerators",
    "dynamic-network-architectures",
    "nibabel",
    "nnunetv2",
    "packaging",
    "pydantic",
    "pydantic-core",
    "pydicom",
    "PyYAML",
    "structlog",
    "threadpoolctl",
    "TotalSegmentator",
    "tqdm",
    "typing-extensions",
    "typing-inspection",
)

# Imported by TotalMAP or nnU-Net to read files, to preprocess and to draw, which the benchmark
# does not do.
UNUSED = ("SimpleITK", "blosc2", "graphviz", "imagecodecs", "pandas", "skimage", "tifffile")


class _Anything(type):
    """Gives a class all attributes: each is the class itself."""

    def __getattr__(cls, name: str) -> "_Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return cls


class _Unused(metaclass=_Anything):
    """Stands for a function, a class or a module in annotations and tables."""


class _StandIn(ModuleType):
    """A module from which every name can be imported."""

    def __getattr__(self, name: str) -> _Anything:
        return getattr(_Unused, name)  # type: ignore[no-any-return]


class _StandIns(MetaPathFinder, Loader):
    """Finds stand-ins for packages and for all their modules."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns a specification for one of the packages."""
        del path, target
        if fullname.partition(".")[0] not in self._names:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Returns a stand-in."""
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Does nothing."""


def stand_in_for_missing_packages() -> None:
    """Adds stand-ins for the packages of `UNUSED` that are not installed."""
    missing = frozenset(name for name in UNUSED if find_spec(name) is None)
    sys.meta_path.append(_StandIns(missing))


stand_in_for_missing_packages()

if __name__ == "__main__":
    print(*(f"{name}=={version(name)}" for name in CARRIED), sep="\n")

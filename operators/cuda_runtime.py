"""Loads the CUDA runtime library, so that Holoscan can be imported on a machine without CUDA.

`import holoscan` needs libcudart.so.13 even if no GPU is used. The wheel nvidia-cuda-runtime
contains it, in a folder that the dynamic linker does not search.
"""

import ctypes
import importlib.util
from pathlib import Path

LIBRARY = "libcudart.so.13"
_FOLDER_IN_WHEEL = Path("cu13") / "lib"


def preload() -> None:
    """Loads the CUDA runtime library, from the system if possible, else from the wheel.

    Does nothing if neither has it; `import holoscan` then reports the missing library.
    """
    candidates = [LIBRARY, *(str(path) for path in _in_wheels())]
    for candidate in candidates:
        try:
            ctypes.CDLL(candidate, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        return


def _in_wheels() -> list[Path]:
    nvidia = importlib.util.find_spec("nvidia")
    if nvidia is None:
        return []
    folders = [Path(folder) for folder in nvidia.submodule_search_locations or ()]
    return [path for folder in folders if (path := folder / _FOLDER_IN_WHEEL / LIBRARY).is_file()]

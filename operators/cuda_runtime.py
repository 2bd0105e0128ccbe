"""Makes Holoscan importable on a machine without CUDA.

`import holoscan` needs libcudart.so.13 even where no GPU is used. The wheel
nvidia-cuda-runtime brings it, but puts it where the dynamic linker does not look.
"""

import ctypes
import importlib.util
from pathlib import Path

LIBRARY = "libcudart.so.13"
_FOLDER_IN_WHEEL = Path("cu13") / "lib"


def preload() -> None:
    """Loads the CUDA runtime library, from the system if it is there, else from the wheel.

    Does nothing if neither has it; `import holoscan` then says what is missing.
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

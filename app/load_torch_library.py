"""Loads PyTorch's largest shared library in a thread, so that PyTorch is imported sooner.

Python holds its lock while it loads an extension module, so that imports in several threads take
turns. Here the lock is free: the library is loaded beside imports and reading.
"""

import ctypes
import importlib.util
import sys
from pathlib import Path
from threading import Thread

_LIBRARY = Path("lib") / "libtorch_cpu.so"


def load_torch_library_in_thread() -> Thread | None:
    """Starts to load the library, and returns the thread.

    Does nothing and returns None if PyTorch is imported already, or has no such library. If the
    library can't be loaded, `import torch` reports why.

    Call it when glibc gives no memory of its own to a new thread any more, if it shall not
    (`totalmap.keep_freed_memory`).
    """
    if "torch" in sys.modules:
        return None
    found = importlib.util.find_spec("torch")  # imports nothing
    folders = (found.submodule_search_locations if found else None) or ()
    paths = [path for folder in folders if (path := Path(folder) / _LIBRARY).is_file()]
    load = getattr(ctypes.CDLL(None), "dlopen", None)
    if not paths or load is None:
        return None
    load.argtypes, load.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    thread = Thread(target=load, args=(bytes(paths[0]), sys.getdlopenflags()))
    thread.start()
    return thread

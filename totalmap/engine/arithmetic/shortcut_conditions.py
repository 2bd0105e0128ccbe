"""Lists all that decides the order of summation in PyTorch's operations on this machine.

oneDNN, MKL and PyTorch choose kernels and the sizes of their blocks by the instructions and caches
of the processor, by their versions, by the number of threads and by environment variables.
"""

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from totalmap import __version__
from totalmap.environment_variables import process_environment

Conditions = dict[str, str]

_CPU_INFO = Path("/proc/cpuinfo")
_CPU_FOLDER = Path("/sys/devices/system/cpu")
# Lines of /proc/cpuinfo that differ from core to core or from start to start.
_VOLATILE = {
    "processor",
    "physical id",
    "core id",
    "apicid",
    "initial apicid",
    "cpu MHz",
    "bogomips",
    "BogoMIPS",
}
_CACHE_FILES = ("level", "type", "size", "ways_of_associativity", "shared_cpu_list")
# Variables of OpenMP, MKL, oneDNN, PyTorch and the loader of libraries.
_VARIABLES = (
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "DNNL_",
    "ONEDNN_",
    "ATEN_",
    "TORCH_",
    "PYTORCH_",
    "LD_",
    "GLIBC_TUNABLES",
)


def current_conditions() -> Conditions | None:
    """Returns the conditions of this process; None if one of them can't be read."""
    try:
        processor = _processors(_CPU_INFO.read_text(encoding="utf-8", errors="replace"))
        code = _code_hash(Path(__file__).parent)
        library = _library_bytes()
    except OSError:
        return None
    if not processor or not code:
        return None
    return {
        "processor": processor,
        "caches": _caches(_CPU_FOLDER, min(os.sched_getaffinity(0))),
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "threads": str(torch.get_num_threads()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": f"{torch.__version__} {torch.version.git_version} {library}",
        "build": torch.__config__.show(),
        "parallel": torch.__config__.parallel_info(),
        "modes": _modes(),
        "environment": _variables(process_environment()),
        "system": f"{platform.machine()} {' '.join(platform.libc_ver())}",
        "totalmap": f"{__version__} {code}",
    }


def digest(conditions: Mapping[str, str]) -> str:
    """Returns a short name of the conditions."""
    lines = "\0".join(f"{name}\0{conditions[name]}" for name in sorted(conditions))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def processor_name(conditions: Mapping[str, str]) -> str:
    """Returns the name of the processor; the machine's architecture if it has none."""
    for line in conditions["processor"].splitlines():
        name, _, value = line.partition(": ")
        if name == "model name":
            return value
    return conditions["system"].partition(" ")[0]


def _processors(cpu_info: str) -> str:
    """Returns the kinds of cores in /proc/cpuinfo, with flags and microcode; usually one."""
    kinds = set()
    for block in cpu_info.split("\n\n"):
        pairs = [line.partition(":") for line in block.splitlines()]
        lines = [(name.strip(), value.strip()) for name, _, value in pairs]
        kinds.add("\n".join(f"{name}: {value}" for name, value in lines if _is_stable(name)))
    return "\n\n".join(sorted(kinds - {""}))


def _is_stable(name: str) -> bool:
    return bool(name) and name not in _VOLATILE


def _caches(folder: Path, core: int) -> str:
    """Returns the sizes of a core's caches; empty where the system does not tell them."""

    def lines() -> Iterator[str]:
        for cache in sorted((folder / f"cpu{core}" / "cache").glob("index*")):
            files = (cache / name for name in _CACHE_FILES)
            yield " ".join(file.read_text().strip() for file in files if file.is_file())

    try:
        return "\n".join(lines())
    except OSError:
        return ""


def _modes() -> str:
    """Returns the settings of PyTorch that choose other kernels or precisions."""
    mkldnn = torch.backends.mkldnn
    return " ".join(
        map(
            str,
            (
                torch._C._get_mkldnn_enabled(),
                torch.get_float32_matmul_precision(),
                torch.are_deterministic_algorithms_enabled(),
                getattr(mkldnn, "deterministic", None),
                getattr(mkldnn, "allow_tf32", None),
                getattr(getattr(mkldnn, "conv", None), "fp32_precision", None),
                getattr(getattr(mkldnn, "matmul", None), "fp32_precision", None),
                torch.get_default_dtype(),
            ),
        )
    )


def _variables(environment: Mapping[str, str]) -> str:
    names = sorted(name for name in environment if name.startswith(_VARIABLES))
    return "\n".join(f"{name}={environment[name]}" for name in names)


def _library_bytes() -> int:
    """Returns the size of PyTorch's library, which differs between builds of one version."""
    libraries = (Path(torch.__file__).parent / "lib").glob("libtorch_cpu*")
    return sum(path.stat().st_size for path in libraries)


def _code_hash(folder: Path) -> str:
    """Returns the SHA-256 of all modules of a folder; empty if there is no source."""
    code = hashlib.sha256()
    paths = sorted(folder.glob("*.py"))
    for path in paths:
        code.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return code.hexdigest() if paths else ""

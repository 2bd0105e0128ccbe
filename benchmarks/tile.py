"""Measures the seconds for one tile of a network of the real size, by several runtimes.

    python -m benchmarks.tile [--variant fast] [--runs 3]

These figures decided which arithmetic TotalMAP offers. ONNX Runtime and PyTorch's own compiler
(which needs g++) are measured if they are installed; TotalMAP does not use them. Each runtime
computes the logits of the same random tile; agreement is the share of voxels with PyTorch's label.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks.speed.network_sizes import PATCH_SIZES, REAL_FEATURES, WIDEST
from tests.networks import build_models
from totalmap.engine.arithmetic.exact_network import ExactNetwork
from totalmap.engine.arithmetic.network_interface import TileNetwork
from totalmap.engine.arithmetic.openvino_network import OpenVinoNetwork
from totalmap.engine.network_loader import load_network
from totalmap.engine.nnunet_plans import read_plans
from totalmap.engine.tasks import load_task
from totalmap.keep_freed_memory import keep_freed_memory
from totalmap.settings import Variant

Logits = Callable[[torch.Tensor], torch.Tensor]
Load = Callable[[], torch.nn.Module]


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variant", type=Variant, default=Variant.FAST, choices=list(Variant))
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    patch = PATCH_SIZES[arguments.variant]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        load = _loader(Path(name), arguments.variant)
        tile = torch.randn(patch, generator=torch.Generator().manual_seed(0))
        expected = _plain(load())(tile).argmax(0)
        print(f"{arguments.variant}: {' x '.join(map(str, patch))} voxels; seconds")
        print("                              start   first    then   labels equal")
        for title, build in _contenders(load, patch).items():
            print(f"{title:26}{_line(build, tile, expected, arguments.runs)}", flush=True)


def _loader(folder: Path, variant: Variant) -> Load:
    task = load_task("total", variant)
    build_models(
        folder,
        variant,
        patch_size=PATCH_SIZES[variant],
        base_features=REAL_FEATURES,
        max_features=WIDEST * REAL_FEATURES,
    )
    model = task.models[0]
    plans = read_plans(folder / model.dataset / model.trainer_folder)
    return lambda: load_network(plans, folder / model.checkpoint)


def _contenders(load: Load, patch: tuple[int, int, int]) -> dict[str, Callable[[], Logits]]:
    """Returns the function that builds each runtime; the first runs with the default allocator."""
    return {
        "PyTorch": lambda: _plain(load()),
        "PyTorch, memory kept": lambda: _memory_kept(load()),
        "exact": lambda: _ours(ExactNetwork(load())),
        "OpenVINO (compiled)": lambda: _ours(OpenVinoNetwork(load(), patch, bfloat16=False)),
        "OpenVINO (bf16)": lambda: _ours(OpenVinoNetwork(load(), patch, bfloat16=True)),
        "ONNX Runtime": lambda: _onnx_runtime(load(), patch),
        "PyTorch bfloat16": lambda: _bfloat16(load()),
        "PyTorch compiled with g++": lambda: _inductor(load()),
    }


def _line(
    build: Callable[[], Logits], tile: torch.Tensor, expected: torch.Tensor, runs: int
) -> str:
    marks = [time.perf_counter()]
    try:
        compute = build()
    except ImportError as error:
        return f"   not installed: {error.name}"
    marks.append(time.perf_counter())
    for _ in range(runs + 1):
        logits = compute(tile)
        marks.append(time.perf_counter())
    start, first, *then = (after - before for before, after in pairwise(marks))
    share = (logits.argmax(0) == expected).float().mean()
    return f"{start:9.2f}{first:8.2f}{statistics.median(then):8.2f}{share:15.4%}"


def _plain(network: torch.nn.Module) -> Logits:
    return lambda tile: network(tile[None, None])[0]


def _memory_kept(network: torch.nn.Module) -> Logits:
    keep_freed_memory()
    return _plain(network)


def _ours(network: TileNetwork) -> Logits:
    def compute(tile: torch.Tensor) -> torch.Tensor:
        features = network.features(tile)
        logits = torch.empty((network.heads, *tile.shape))
        for z in range(len(tile)):
            logits[:, z : z + 1] = network.logits(features, slice(z, z + 1))
        return logits

    return compute


def _bfloat16(network: torch.nn.Module) -> Logits:
    network = network.bfloat16().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return lambda tile: network(_side_by_side(tile.bfloat16()))[0].float()


def _inductor(network: torch.nn.Module) -> Logits:
    import torch._inductor.config as inductor

    inductor.freezing = True
    compiled = torch.compile(network.to(memory_format=torch.channels_last_3d))  # type: ignore[call-overload]
    return lambda tile: compiled(_side_by_side(tile))[0]


def _side_by_side(tile: torch.Tensor) -> torch.Tensor:
    return tile[None, None].to(memory_format=torch.channels_last_3d)


def _onnx_runtime(network: torch.nn.Module, patch: tuple[int, int, int]) -> Logits:
    import onnxruntime

    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        torch.onnx.export(network, (torch.zeros(1, 1, *patch),), file.name, dynamo=False)
        content = file.read()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda tile: torch.from_numpy(session.run(None, {name: tile[None, None].numpy()})[0])[0]


if __name__ == "__main__":
    main()

"""Runs a network that OpenVINO compiles for this CPU, in float32 or bfloat16.

No compiler is needed, since OpenVINO contains its own kernels.
"""

import io
import json
import sys
import warnings
from collections.abc import Mapping

import torch

# openvino_telemetry reports each import of OpenVINO, and each call of convert_model, to Google
# Analytics. It is made unavailable here, and the frontend is called directly.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

from openvino import CompiledModel, Core, InferRequest, Model, get_version  # noqa: E402
from openvino.frontend import FrontEndManager  # noqa: E402
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder  # noqa: E402

from totalmap.engine.arithmetic.last_layer import LastLayer  # noqa: E402
from totalmap.engine.arithmetic.openvino_network_cache import kept_network  # noqa: E402
from totalmap.engine.arithmetic.split_off_last_layer import FeatureNetwork  # noqa: E402

_DEVICE = "CPU"
# Tracing needs an example with several voxels at the bottom of the U-Net.
_VOXELS_AT_THE_BOTTOM = 2


class OpenVinoNetwork:
    """A U-Net compiled for one patch size; its last layer stays float32."""

    device = torch.device("cpu")
    on_gpu = False
    planes_at_once = 1

    def __init__(
        self, network: torch.nn.Module, patch_size: tuple[int, int, int], *, bfloat16: bool
    ) -> None:
        unet = FeatureNetwork(network)
        self._head = LastLayer(unet.last_layer)
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled = _compiled(unet, patch_size, options)
        self._request: InferRequest | None = None

    @property
    def heads(self) -> int:
        """Number of channels of the logits."""
        return self._head.heads

    def features(self, tile: torch.Tensor) -> torch.Tensor:
        """Returns the input of the last layer, (feature, z, y, x) float32."""
        image = tile[None, None].contiguous().numpy()
        if self._request is None:
            self._request = self._compiled.create_infer_request()
        self._request.infer([image], share_inputs=True)
        return torch.from_numpy(self._request.get_output_tensor().data)[0]

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns the logits of some planes, (channel, z, y, x) float32."""
        return self._head.logits(features, planes)

    def free_tile_memory(self) -> None:
        """Frees the memory of intermediate results, which each network has separately."""
        self._request = None
        self._compiled.release_memory()


def _compiled(
    network: FeatureNetwork, patch_size: tuple[int, int, int], options: Mapping[str, str | int]
) -> CompiledModel:
    """Returns a network that is kept, or else compiles it and keeps it."""
    kept = kept_network(
        network,
        {
            "openvino": get_version(),
            "options": json.dumps(options, sort_keys=True),
            "patch": " x ".join(map(str, patch_size)),
        },
    )
    exported = kept.read() if kept else None
    if kept and exported is not None:
        try:
            return Core().import_model(io.BytesIO(exported), _DEVICE, dict(options))
        except RuntimeError:
            kept.ignore("can't be used by OpenVINO")
    compiled = Core().compile_model(_converted(network, patch_size), _DEVICE, dict(options))
    if kept:
        buffer = io.BytesIO()
        compiled.export_model(buffer)
        kept.write(buffer.getvalue())
    return compiled


def _converted(network: FeatureNetwork, patch_size: tuple[int, int, int]) -> Model:
    """Returns the network for images (1, 1, z, y, x) of a patch's size."""
    # An example smaller than a patch is sufficient; tracing runs the network.
    shape = [
        stride * min(_VOXELS_AT_THE_BOTTOM, size // stride)
        for stride, size in zip(network.strides, patch_size, strict=True)
    ]
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about constant sizes
        example = torch.zeros(1, 1, *shape)
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
    decoder = TorchScriptPythonDecoder(traced)  # the frontend does not keep it alive
    frontend = FrontEndManager().load_by_framework("pytorch")
    model = frontend.convert(frontend.load(decoder))
    model.reshape([1, 1, *patch_size])
    return model

"""Runs a network that OpenVINO compiles for this CPU, in float32 or bfloat16.

No compiler is needed, since OpenVINO contains its own kernels.
"""

import sys
import warnings

import torch

# openvino_telemetry reports each import of OpenVINO, and each call of convert_model, to Google
# Analytics. It is made unavailable here, and the frontend is called directly.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

from openvino import Core, InferRequest, Model  # noqa: E402
from openvino.frontend import FrontEndManager  # noqa: E402
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder  # noqa: E402

from totalmap.engine.arithmetic.last_layer import LastLayer  # noqa: E402
from totalmap.engine.arithmetic.split_off_last_layer import FeatureNetwork  # noqa: E402

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
        precision = "bf16" if bfloat16 else "f32"
        self._compiled = Core().compile_model(
            _converted(unet, patch_size),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            },
        )
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

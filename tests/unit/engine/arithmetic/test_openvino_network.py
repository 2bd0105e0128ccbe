import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from tests.conftest import REPOSITORY
from tests.processor import require_bf16
from tests.unit.engine.arithmetic.small_networks import PATCH, plain, residual, tile
from totalmap.engine.arithmetic.openvino_network import OpenVinoNetwork


@pytest.mark.parametrize("build", [plain, residual])
@pytest.mark.parametrize(("bfloat16", "tolerance"), [(False, 2e-3), (True, 0.2)])
@torch.inference_mode()
def test_logits_of_openvino_are_close_to_those_of_pytorch(
    build: Callable[[], torch.nn.Module], bfloat16: bool, tolerance: float
) -> None:
    """Logits of these networks have a standard deviation of about 1."""
    if bfloat16:
        require_bf16()
    image = tile()
    expected = build()(image[None, None])[0]
    network = OpenVinoNetwork(build(), PATCH, bfloat16=bfloat16)
    found = network.logits(network.features(image), slice(0, PATCH[0]))
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < tolerance


@torch.inference_mode()
def test_openvino_gives_each_tile_its_own_logits() -> None:
    network = OpenVinoNetwork(plain(), PATCH, bfloat16=False)
    first = network.logits(network.features(tile(seed=1)), slice(0, 1)).clone()
    second = network.logits(network.features(tile(seed=2)), slice(0, 1)).clone()
    again = network.logits(network.features(tile(seed=1)), slice(0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_openvino_makes_no_network_connection() -> None:
    """OpenVINO would report each import to its vendor, in a thread."""
    program = (
        "import sys\n"
        "def refuse(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        sys.exit(f'{event} {arguments}')\n"
        "sys.addaudithook(refuse)\n"
        "from tests.unit.engine.arithmetic.small_networks import PATCH, plain, tile\n"
        "from totalmap.engine.arithmetic.openvino_network import OpenVinoNetwork\n"
        "OpenVinoNetwork(plain(), PATCH, bfloat16=False).features(tile())\n"
        "import threading\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

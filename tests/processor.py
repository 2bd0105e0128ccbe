"""What the processor can do, for tests that need it: they ask, and say so where it can not."""

import os

import pytest

# Limits to which oneDNN, which is inside OpenVINO, can be told to keep; none of them has bfloat16.
_WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI")


def require_bf16() -> None:
    """Skips the test where OpenVINO does not compute in bfloat16, but in float32 instead."""
    import totalmap.engine.arithmetic.openvino_network  # noqa: F401  OpenVINO reports nothing

    # isort: split
    from openvino import Core

    able = "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if not able or limit in _WITHOUT_BF16:
        pytest.skip("OpenVINO has no bfloat16 on this processor, which needs AVX-512 or AMX for it")

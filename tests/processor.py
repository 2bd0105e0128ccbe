"""Skips tests that need an instruction set which this processor does not have."""

import os

import pytest

# Instruction sets to which oneDNN, a part of OpenVINO, can be limited; none has bfloat16.
_WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI")


def require_bf16() -> None:
    """Skips the test if OpenVINO computes in float32 when bfloat16 is asked for."""
    import totalmap.engine.arithmetic.openvino_network  # noqa: F401  OpenVINO reports nothing

    # isort: split
    from openvino import Core

    able = "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if not able or limit in _WITHOUT_BF16:
        pytest.skip("OpenVINO has no bfloat16 on this processor, which needs AVX-512 or AMX for it")

"""The MONAI Deploy application: connects the operators, runs them and returns the exit status."""

import operators  # noqa: F401  imported first: makes Holoscan importable without CUDA

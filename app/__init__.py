"""The MONAI Deploy application: composes the operators and maps errors to exit statuses."""

import operators  # noqa: F401  first of all: it makes Holoscan importable without CUDA

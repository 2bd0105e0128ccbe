"""The MONAI Deploy application: composes the operators and maps errors to exit statuses."""

import operators  # noqa: F401  imported first: makes Holoscan importable without CUDA

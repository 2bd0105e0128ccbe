"""Operator: series -> volume."""

from typing import Any

from holoscan.core import (
    ExecutionContext,
    Fragment,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
)

from totalmap.dicom.volume import build_volume
from totalmap.journal import Journal


class VolumeBuilderOperator(Operator):
    """Decodes the pixels of the series into voxels with a geometry."""

    def __init__(self, fragment: Fragment, *args: Any, journal: Journal, **kwargs: Any) -> None:
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Receives a `Series`, emits a `Volume`."""
        spec.input("series")
        spec.output("volume")

    def compute(
        self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext
    ) -> None:
        """Builds the volume."""
        with self._journal.stage("build_volume"):
            op_output.emit(build_volume(op_input.receive("series")), "volume")

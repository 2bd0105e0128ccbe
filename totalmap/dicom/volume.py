"""Decodes the pixels of a selected stack into a volume with a geometry."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from totalmap.dicom.geometry import Geometry
from totalmap.dicom.pixels import Undecodable, Voxels, decode_slices
from totalmap.dicom.series_selection import Selection
from totalmap.dicom.slice_audit import audit_stack
from totalmap.dicom.slices import Slice
from totalmap.dicom.stacks import Stack
from totalmap.dicom.unused_slices import Coverage, cover
from totalmap.errors import UnreadableInstance
from totalmap.finding import Finding
from totalmap.settings import GapPolicy, GeometrySection


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """The voxels of a stack of slices, or of a NIfTI image (`totalmap.nifti`).

    Attributes:
        voxels: (k, j, i) = (slices, rows, columns), HU for CT, the scanner's own units for MR;
            int16, or float32 if a rescale is fractional or leaves the range of int16.
        geometry: Positions of the voxels, LPS.
        modality: Modality (0008,0060): CT or MR.
        slices: The DICOM source of each slice k, in the order of the array; empty for NIfTI.
        findings: Sentences for the reader of the result.
        folder: Folder of its results below the results folder; empty for the folder itself.
        patient_disagreements: Names of the patient's attributes in which series of the study
            disagree.
        coverage: Number of slices of the series that it has; None for NIfTI.
        suitability: Quality findings about the images (totalmap.quality.suitability); empty before
            they are assessed.
    """

    voxels: Voxels
    geometry: Geometry
    modality: str
    slices: tuple[Slice, ...]
    findings: tuple[str, ...]
    folder: str
    patient_disagreements: tuple[str, ...] = ()
    coverage: Coverage | None = None
    suitability: tuple[Finding, ...] = ()

    @property
    def is_dicom(self) -> bool:
        """Whether the voxels come from DICOM instances, to which results can refer."""
        return bool(self.slices)

    @property
    def series_instance_uid(self) -> str:
        """Series Instance UID (0020,000E) of the source; empty for NIfTI."""
        return self.slices[0].instance.series_instance_uid if self.slices else ""

    @property
    def source_names(self) -> tuple[str, ...]:
        """Identifiers of the source: its instances and frames, or the SHA-256 of its voxels."""
        if self.slices:
            return tuple(f"{uid}#{frame}" for uid, frame in (item.key for item in self.slices))
        content = hashlib.sha256(np.ascontiguousarray(self.voxels).data)
        content.update(self.geometry.affine_lps.tobytes())
        return (content.hexdigest(),)


def build_volume(selection: Selection, policy: GeometrySection) -> Volume:
    """Decodes the pixels of the slices.

    Slices that can't be decoded are left out if the policy fills gaps; then the remaining slices
    are audited again.

    Raises:
        UnreadableInstance: The pixels of a slice can't be decoded.
        IncompleteSeries: Without the slices that can't be decoded, the gaps are too large.
        UnsupportedGeometry: Without them, too little is left.
    """
    audit = selection.audit
    voxels, undecodable = decode_slices(audit.slices)
    if undecodable:
        if policy.gaps is GapPolicy.REJECT:
            raise UnreadableInstance(
                f"{_fault(undecodable[0])} of {undecodable[0].slice.instance.file_name} "
                f"({len(undecodable)} of {len(audit.slices)} slices); geometry.gaps is `reject`, "
                "`fill` would leave them out"
            )
        audit = audit_stack(_marked(selection.stack, undecodable), policy)
        places = {item.key: k for k, item in enumerate(selection.audit.slices)}
        voxels = voxels[[places[item.key] for item in audit.slices]]
    return Volume(
        voxels=voxels,
        geometry=audit.geometry,
        modality=audit.slices[0].instance.modality,
        slices=audit.slices,
        findings=(*audit.findings, *audit.notes),
        folder=selection.folder,
        patient_disagreements=selection.stack.series.disagreements_in_study,
        coverage=cover(selection.stack, audit.slices, selection.siblings),
    )


def _fault(undecodable: Undecodable) -> str:
    return f"pixels can't be decoded ({undecodable.error})"


def _marked(stack: Stack, undecodable: tuple[Undecodable, ...]) -> Stack:
    """Returns the stack with a fault noted on the slices that can't be decoded."""
    faults = {failed.slice.key: _fault(failed) for failed in undecodable}
    slices = tuple(
        replace(item, frame=replace(item.frame, fault=faults[item.key]))
        if item.key in faults
        else item
        for item in stack.slices
    )
    return replace(stack, slices=slices)

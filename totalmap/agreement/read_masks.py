"""Reads the masks of one side of a comparison: SEG, RTSTRUCT or NIfTI, a file or a folder."""

from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import RTStructureSetStorage

from totalmap.agreement.structure_masks import StructureMasks
from totalmap.dicom.study import Study
from totalmap.errors import InputError
from totalmap.existing_seg import is_seg


def read_masks(result: Path, source: Study | None) -> StructureMasks:
    """Returns the masks of a result.

    In a folder, SEG objects come first, then an RTSTRUCT, then NIfTI files: the folder of results
    of a run holds the same structures in several forms.

    Args:
        result: A file, or a folder with SEG objects, an RTSTRUCT, a NIfTI file of labels, or a
            NIfTI file for each structure.
        source: The study that was segmented; None if it is not given.

    Raises:
        InputError: The result can't be read, holds nothing of the kind, or needs its images.
        UnsupportedGeometry: The grid of a NIfTI file is not supported.
    """
    from totalmap.agreement.read_rtstruct_masks import read_rtstruct_masks
    from totalmap.agreement.read_seg_masks import read_seg_masks

    if not result.exists():
        raise InputError("a result to compare does not exist: name a file or a folder")
    files = sorted(filter(Path.is_file, result.rglob("*"))) if result.is_dir() else [result]
    if segs := [path for path in files if is_seg(path)]:
        return read_seg_masks(segs, source)
    structure_sets = [path for path in files if _is_rtstruct(path)]
    if len(structure_sets) > 1:
        raise InputError(f"the folder holds {len(structure_sets)} RTSTRUCTs: name one of them")
    if structure_sets:
        return read_rtstruct_masks(structure_sets[0], source)
    return _read_nifti(files)


def _read_nifti(files: list[Path]) -> StructureMasks:
    from totalmap.agreement.read_nifti_masks import read_nifti_labels, read_nifti_masks
    from totalmap.nifti import is_nifti

    images = [path for path in files if is_nifti(path)]
    if not images:
        raise InputError("a result to compare holds no SEG, no RTSTRUCT and no NIfTI file")
    return read_nifti_labels(images[0]) if len(images) == 1 else read_nifti_masks(images)


def _is_rtstruct(path: Path) -> bool:
    try:
        dataset = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except (InvalidDicomError, EOFError):
        return False
    return bool(dataset.get("SOPClassUID") == RTStructureSetStorage)

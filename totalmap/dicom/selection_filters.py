"""Applies the filters of a selection rule; returns reasons that a radiographer understands."""

import re
from collections import Counter
from collections.abc import Callable, Iterable

from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from totalmap.dicom.image_kinds import IMAGE_TYPE_WORDS, NOT_HU
from totalmap.dicom.slice_audit import SliceAudit, describe_faults, typical_spacing_mm
from totalmap.dicom.slices import Slice
from totalmap.dicom.stacks import Stack
from totalmap.errors import InputError
from totalmap.selection_settings import Contrast, SelectionRule

SLICE_CLASSES = frozenset(
    {
        CTImageStorage,
        EnhancedCTImageStorage,
        EnhancedMRImageStorage,
        LegacyConvertedEnhancedCTImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
        MRImageStorage,
    }
)


def why_not(stack: Stack, audit: SliceAudit | InputError, rule: SelectionRule) -> str | None:
    """Returns why a rule excludes a stack; None if it does not.

    Args:
        stack: The stack.
        audit: Result of the slice audit, or the reason why it refused the stack.
        rule: The selection rule.
    """
    return why_not_by_headers(stack, rule) or _no_volume(audit, rule)


def why_not_by_headers(stack: Stack, rule: SelectionRule) -> str | None:
    """Returns why a rule excludes a stack by its headers; None if it does not."""
    return why_not_by_kind(stack, rule) or _wrong_slices(stack, rule)


def why_not_by_kind(stack: Stack, rule: SelectionRule) -> str | None:
    """Returns why a rule excludes a stack by its kind, not by its slices; None if it does not."""
    return next(
        (reason for filter_kind in _KIND_FILTERS if (reason := filter_kind(stack, rule))), None
    )


def fallback_type(stack: Stack, rule: SelectionRule) -> str | None:
    """Returns the Image Type that makes a stack a fallback for studies without originals."""
    counts = Counter(word for item in _judged(stack) for word in set(item.frame.image_type))
    return next(
        (
            value
            for value in rule.image_types_fallback
            if 2 * counts[value.upper()] > len(_judged(stack))
        ),
        None,
    )


def says_type(value: str) -> str:
    """Returns the meaning of an Image Type, for people."""
    meaning = IMAGE_TYPE_WORDS.get(value.upper(), "not original slices")
    return f"{meaning} (image type {value})"


def _judged(stack: Stack) -> tuple[Slice, ...]:
    """Returns the slices with a position, or all slices if none has one."""
    return stack.placed or stack.slices


def _wrong_kind(stack: Stack, rule: SelectionRule) -> str | None:
    modality = stack.series.modality
    if modality not in rule.modalities:
        return f"modality is {modality or 'empty'}, not {' or '.join(rule.modalities)}"
    sop_class = UID(stack.first.instance.sop_class_uid)
    if sop_class not in SLICE_CLASSES:
        return f"SOP class is {sop_class.name}, which holds no slices"
    units = sorted({item.frame.unit for item in _judged(stack)} & NOT_HU.keys())
    if modality == "CT" and units:
        return f"values are {NOT_HU[units[0]]}, not HU (rescale type {units[0]})"
    return None


def _wrong_image_type(stack: Stack, rule: SelectionRule) -> str | None:
    found = {value for item in _judged(stack) for value in item.frame.image_type}
    for value in rule.image_types_excluded:
        if value.upper() in found:
            return says_type(value)
    missing = [value for value in rule.image_types if value.upper() not in found]
    return f"image type is not {missing[0]}" if missing else None


def _wrong_text(stack: Stack, rule: SelectionRule) -> str | None:
    description = stack.first.instance.series_description
    checks = (
        ("series description", description, rule.descriptions),
        ("body part", stack.first.instance.body_part, rule.body_parts),
        ("kernel", stack.first.frame.kernel, rule.kernels),
    )
    for name, value, patterns in checks:
        if patterns and not _matches(value, patterns):
            return f"{name} does not match {' or '.join(patterns)}"
    if _matches(description, rule.descriptions_excluded):
        return f"series description matches {' or '.join(rule.descriptions_excluded)}"
    return None


def _matches(value: str, patterns: Iterable[str]) -> bool:
    return any(re.search(pattern, value, re.IGNORECASE) for pattern in patterns)


def _wrong_contrast(stack: Stack, rule: SelectionRule) -> str | None:
    has_contrast = stack.first.frame.has_contrast
    if rule.contrast is Contrast.WITH and not has_contrast:
        return "the header names no contrast agent"
    if rule.contrast is Contrast.WITHOUT and has_contrast:
        return "the header names a contrast agent"
    return None


def _wrong_orientation(stack: Stack, rule: SelectionRule) -> str | None:
    if not rule.orientations or stack.first.frame.plane is None:
        return None
    orientation = stack.first.plane.orientation
    if orientation in rule.orientations:
        return None
    return f"slices are {orientation}, not {' or '.join(rule.orientations)}"


def _wrong_slices(stack: Stack, rule: SelectionRule) -> str | None:
    if stack.fault:
        return stack.fault
    count, faults = len(stack.slices), describe_faults(stack)
    if len(stack.usable) < rule.min_slices and faults:
        return faults
    if count < rule.min_slices:
        return f"{count} slices, at least {rule.min_slices} are needed"
    if rule.max_slices is not None and count > rule.max_slices:
        return f"{count} slices, at most {rule.max_slices} are allowed"
    thickness_mm = stack.first.frame.slice_thickness_mm
    limit_mm = rule.max_slice_thickness_mm
    if limit_mm is not None and thickness_mm is not None and thickness_mm > limit_mm:
        return f"slices are {thickness_mm:g} mm thick, at most {limit_mm:g} mm are allowed"
    spacing_mm = typical_spacing_mm(stack)
    if spacing_mm is None:
        return None  # the audit reports the problem
    if spacing_mm > rule.max_slice_spacing_mm:
        limit_mm = rule.max_slice_spacing_mm
        return f"slices are {spacing_mm:g} mm apart, at most {limit_mm:g} mm are allowed"
    return None


def _no_volume(audit: SliceAudit | InputError, rule: SelectionRule) -> str | None:
    if isinstance(audit, InputError):
        return str(audit)
    coverage_mm = audit.geometry.coverage_mm
    if coverage_mm < rule.min_coverage_mm:
        return f"covers {coverage_mm:.0f} mm, at least {rule.min_coverage_mm:g} mm are needed"
    return None


_KIND_FILTERS: tuple[Callable[[Stack, SelectionRule], str | None], ...] = (
    _wrong_kind,
    _wrong_image_type,
    _wrong_text,
    _wrong_contrast,
    _wrong_orientation,
)

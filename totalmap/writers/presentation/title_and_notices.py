"""Words the title, the notices and the source of a result."""

import numpy as np

from totalmap.finding import Severity, Verdict
from totalmap.segmentation import Segmentation
from totalmap.texts.catalogue import Texts
from totalmap.writers.dicom import identifiers
from totalmap.writers.presentation.patient_identification import Fact

_WHOLE_BODY = "total"


def title_of(segmentation: Segmentation, texts: Texts) -> str:
    """Returns what a result is, such as "Automatic segmentation (TotalSegmentator, 3 mm)"."""
    is_corrected = segmentation.correction is not None
    if identifiers.is_demo(segmentation):
        return texts("title.corrected_demo" if is_corrected else "title.demo")
    if is_corrected:
        return texts("title.corrected", task=segmentation.task.replace("_", " "))
    resolution = round(_resolution_mm(segmentation), 1)
    task = segmentation.task
    if task == _WHOLE_BODY:
        return texts("title.total", resolution=resolution)
    return texts("title.task", task=task.replace("_", " "), resolution=resolution)


def _resolution_mm(segmentation: Segmentation) -> float:
    """Returns the largest distance of voxels on the grid of the network."""
    columns = np.linalg.norm(segmentation.inference.affine_lps[:3, :3], axis=0)
    return float(columns.max())


def ai_notice(segmentation: Segmentation, texts: Texts) -> str:
    """Returns the notice that every page shows."""
    return texts("notice.ai" if segmentation.correction is None else "notice.corrected")


def demo_notice(segmentation: Segmentation, texts: Texts) -> str:
    """Returns the notice about a demo model; empty for a network for patients."""
    return texts("notice.demo") if identifiers.is_demo(segmentation) else ""


def quality_notice(segmentation: Segmentation, texts: Texts) -> str:
    """Returns the verdict with its first reason; empty where quality control has no objection."""
    if segmentation.verdict is Verdict.OK:
        return ""
    reasons = [
        finding.sentence
        for severity in (Severity.REJECT, Severity.REVIEW)
        for finding in segmentation.quality_findings
        if finding.severity is severity
    ]
    verdict, reason = verdict_words(segmentation, texts).upper(), texts.told(reasons[0])
    if len(reasons) == 1:
        return texts("verdict.with_reason", verdict=verdict, reason=reason)
    return texts("verdict.with_reasons", verdict=verdict, reason=reason, more=len(reasons) - 1)


def print_notice(segmentation: Segmentation, texts: Texts) -> str:
    """Returns the notices in short, for the head of every printed page."""
    doubted = segmentation.verdict is not Verdict.OK
    parts = (
        ai_notice(segmentation, texts),
        verdict_words(segmentation, texts).upper() if doubted else "",
        demo_notice(segmentation, texts),
    )
    return " · ".join(part for part in parts if part)


def verdict_words(segmentation: Segmentation, texts: Texts) -> str:
    """Returns the verdict of quality control in words."""
    return texts(f"verdict.{segmentation.verdict}")


def found_words(segmentation: Segmentation, texts: Texts) -> str:
    """Returns the number of structures that were found."""
    found = len(segmentation.found())
    return texts.counted("found", found) if found else texts("found.none")


def source_words(segmentation: Segmentation, texts: Texts) -> str:
    """Returns modality and size of the source."""
    volume = segmentation.volume
    column_mm, row_mm, slice_mm = volume.geometry.spacing_mm
    slices, rows, columns = volume.geometry.shape
    return texts(
        "source.size",
        modality=volume.modality,
        slices=slices,
        rows=rows,
        columns=columns,
        row_mm=row_mm,
        column_mm=column_mm,
        slice_mm=slice_mm,
    )


def source_facts(segmentation: Segmentation, texts: Texts) -> tuple[Fact, ...]:
    """Returns the facts about the images that were segmented, without the patient."""
    volume, geometry = segmentation.volume, segmentation.volume.geometry
    between_columns, between_rows, between_slices = geometry.spacing_mm
    slices, rows, columns = geometry.shape
    orientation = texts(f"orientation.{geometry.orientation}")
    rule = (Fact(name=texts("fact.rule"), value=volume.folder),) if volume.folder else ()
    spacing = texts(
        "fact.spacing_value", rows=between_rows, columns=between_columns, slices=between_slices
    )
    return (
        *_instance_facts(segmentation, texts),
        *rule,
        Fact(name=texts("fact.modality"), value=volume.modality),
        Fact(
            name=texts("fact.slices"),
            value=texts("fact.slices_value", slices=slices, orientation=orientation),
        ),
        Fact(
            name=texts("fact.pixels"),
            value=texts("fact.pixels_value", rows=rows, columns=columns),
        ),
        Fact(name=texts("fact.spacing"), value=spacing),
        Fact(
            name=texts("fact.covered"), value=texts("fact.covered_value", mm=geometry.coverage_mm)
        ),
    )


def _instance_facts(segmentation: Segmentation, texts: Texts) -> tuple[Fact, ...]:
    """Returns the UIDs of the source, or the hash of a NIfTI file."""
    volume = segmentation.volume
    if not volume.is_dicom:
        (digest,) = volume.source_names
        return (
            Fact(name=texts("fact.source"), value=texts("fact.nifti")),
            Fact(name=texts("fact.voxel_hash"), value=digest, is_code=True),
        )
    instance = volume.slices[0].instance
    return (
        Fact(name=texts("fact.series_uid"), value=instance.series_instance_uid, is_code=True),
        Fact(name=texts("fact.study_uid"), value=instance.study_instance_uid, is_code=True),
    )


def origin_facts(
    segmentation: Segmentation, settings_sha256: str, texts: Texts
) -> tuple[Fact, ...]:
    """Returns the facts about software, network and settings."""
    facts = {
        "totalmap": identifiers.software_versions(),
        "task": f"{segmentation.task}, {segmentation.variant}",
        "algorithm": identifiers.algorithm_name(segmentation),
        "engine": segmentation.engine,
        "arithmetic": segmentation.arithmetic,
        "search": segmentation.search,
        "device": segmentation.device,
    }
    made = tuple(Fact(name=texts(f"fact.{key}"), value=str(value)) for key, value in facts.items())
    hashed = Fact(name=texts("fact.settings_hash"), value=settings_sha256, is_code=True)
    return (*made, hashed)

"""Writes all results of labels that a person has corrected, or none, as a run does."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from totalmap.correction_history import AlgorithmType, PersonsCorrection
from totalmap.corrections.predecessor import GEOMETRY
from totalmap.corrections.read_correction import Correction
from totalmap.dicom.geometry import canonical_affine_lps, to_canonical, to_equidistant
from totalmap.dicom.study import Study
from totalmap.dicom.study_choice import choose_study
from totalmap.dicom.volume import build_volume
from totalmap.errors import TotalMapError
from totalmap.measure.label_statistics import Labels
from totalmap.open_input import InputKind
from totalmap.quality.assess import assess
from totalmap.quality.suitability.assess_suitability import with_suitability
from totalmap.reviewer import Reviewer
from totalmap.run_log import CorrectedResult, CorrectedStructure, Result, RunLog
from totalmap.segmentation import EngineKind, InferenceLabels, ModelIdentity, Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.texts.catalogue import Joined, Message, StructureName
from totalmap.writers.all_or_nothing import Release, open_release
from totalmap.writers.html_report import write_report
from totalmap.writers.measurements_csv import write_measurements_csv
from totalmap.writers.nifti import write_nifti
from totalmap.writers.overlay.writer import write_overlay
from totalmap.writers.pdf.writer import write_pdf
from totalmap.writers.preview.writer import write_preview
from totalmap.writers.rejection_note import settle_verdict
from totalmap.writers.rtstruct.writer import write_rtstruct
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.seg.labelmap import write_seg_labelmap
from totalmap.writers.sr.writer import write_sr
from totalmap.writers.status_json import RunStatus, describe_run
from totalmap.writers.workflow_metadata import summarise

Written = Result | tuple[Result, ...]
WRITERS: Mapping[ResultKind, Callable[[Segmentation, Settings, Release], Written]] = {
    ResultKind.SEG: write_seg,
    ResultKind.SEG_LABELMAP: write_seg_labelmap,
    ResultKind.SR: write_sr,
    ResultKind.RTSTRUCT: write_rtstruct,
    ResultKind.PREVIEW: write_preview,
    ResultKind.OVERLAY: write_overlay,
    ResultKind.REPORT: write_report,
    ResultKind.PDF: write_pdf,
    ResultKind.CSV: lambda segmentation, _, release: write_measurements_csv(segmentation, release),
    ResultKind.NIFTI: write_nifti,
}


def write_corrected_results(
    correction: Correction, source: Study, reviewer: Reviewer, settings: Settings, target: Path
) -> RunStatus:
    """Writes the results of a correction into an output folder, as a run does.

    The same correction, person, time and settings give the same DICOM objects, byte for byte. Their
    quality is assessed anew; results that quality control rejects are held back or get a note, as
    the settings say.

    Args:
        correction: The corrected labels.
        source: The study with the images.
        reviewer: The person, and the time.
        settings: Those of the run that made the result before the correction.
        target: The output folder; the files of an earlier run in it are removed.

    Raises:
        InputError: The images can't be decoded.
        OutputError: No structure is left, or a file that was written is wrong.
        ConfigError: The name of the person is empty, or the folder can't be written.
        ResourceError: The disk is full.
    """
    run_log = RunLog()
    with open_release(target) as release:
        try:
            _write(correction, source, reviewer, settings, release, run_log)
            settle_verdict(run_log, settings, release)
            status = describe_run(run_log, settings, None)
            release.publish(
                status.as_json(), summarise(status).as_json(), held=run_log.held is not None
            )
        except TotalMapError as error:
            status = describe_run(run_log, settings, error)
            release.fail(status.as_json(), summarise(status).as_json())
            raise
    return status


def corrected_segmentation(correction: Correction, reviewer: Reviewer) -> Segmentation:
    """Returns the corrected labels as a segmentation, with a new assessment.

    Raises:
        InputError: The images can't be decoded.
    """
    predecessor = correction.predecessor
    volume = build_volume(predecessor.source, GEOMETRY)
    on_grid, grid = to_equidistant(correction.labels, volume.geometry)
    origin = predecessor.origin
    notice = Message("notice.demo") if predecessor.is_demo else ""
    segmentation = Segmentation(
        task=origin.task,
        variant=origin.variant,
        volume=replace(with_suitability(volume, origin.task), folder=predecessor.folder),
        labels=correction.labels,
        inference=InferenceLabels(
            labels=cast(Labels, to_canonical(on_grid, grid)),
            affine_lps=canonical_affine_lps(grid),
        ),
        structures=predecessor.structures,
        models=tuple(
            ModelIdentity(
                dataset=weights.dataset,
                sha256=weights.sha256,
                source="",
                licence=weights.licence,
                notice=notice,
            )
            for weights in origin.weights
        ),
        arithmetic=origin.arithmetic,
        search=origin.search,
        findings=(_sentence(correction),),
        engine=EngineKind(origin.engine),
        correction=_persons_correction(correction, reviewer),
    )
    return segmentation.with_assessment(assess(segmentation))


def _write(
    correction: Correction,
    source: Study,
    reviewer: Reviewer,
    settings: Settings,
    release: Release,
    run_log: RunLog,
) -> None:
    run_log.opened(InputKind.FOLDER)
    run_log.read(source)
    uid = correction.predecessor.source.stack.series.study_instance_uid
    run_log.chose(choose_study(source, uid))
    run_log.corrected(_recorded(correction))
    with run_log.stage("read_correction"):
        segmentation = corrected_segmentation(correction, reviewer)
    run_log.built(segmentation.volume)
    run_log.segmented(segmentation)
    run_log.assessed(segmentation)
    for kind, write in WRITERS.items():
        if kind in settings.results.kinds:
            with run_log.stage(f"write_{kind}"):
                written = write(segmentation, settings, release)
            run_log.wrote(*(written if isinstance(written, tuple) else (written,)))


def _sentence(correction: Correction) -> Message:
    names = tuple(StructureName(structure.name) for structure in correction.touched)
    return Message("warning.corrected", names=Joined(names, with_and=True))


def _recorded(correction: Correction) -> CorrectedResult:
    """Returns the correction for status.json."""
    return CorrectedResult(
        predecessors=tuple(seg.sop_instance_uid for seg in correction.predecessor.segs),
        structures=tuple(
            CorrectedStructure(
                name=change.structure.name,
                edit_dice=change.edit_dice,
                added_ml=change.added_ml,
                removed_ml=change.removed_ml,
            )
            for change in correction.changes
        ),
        not_taken=len(correction.not_taken),
        labels_sha256=correction.labels_sha256,
    )


def _persons_correction(correction: Correction, reviewer: Reviewer) -> PersonsCorrection:
    predecessor = correction.predecessor
    types = dict(predecessor.algorithm_types)
    for change in correction.changes:
        name = change.structure.name
        drawn_alone = change.is_new or types.get(name) is AlgorithmType.MANUAL
        types[name] = AlgorithmType.MANUAL if drawn_alone else AlgorithmType.SEMIAUTOMATIC
    return PersonsCorrection(
        reviewer=reviewer,
        predecessors=predecessor.segs,
        touched=correction.touched,
        algorithm_types=types,
        tracking_uids=predecessor.tracking_uids,
        version=predecessor.origin.version,
        settings_sha256=predecessor.origin.settings_sha256,
        earlier=predecessor.origin.corrections,
    )

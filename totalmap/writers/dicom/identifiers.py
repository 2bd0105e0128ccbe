"""Derives UIDs, names, versions and descriptions of the objects that we write, always the same."""

from totalmap import __version__
from totalmap.dicom.derived_uids import derived_uid
from totalmap.finding import VERDICT_WORDS, Verdict
from totalmap.origin_in_dicom import MANUFACTURER
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.dicom.plain_text import LONGEST_LINE, one_line

MODEL_NAME = "TotalMAP"
# Type 1 in Enhanced General Equipment (PS3.3 C.7.5.2); software has no serial number.
DEVICE_SERIAL_NUMBER = "0"

# The end of a Series Description, for people who choose among the series.
_WARNINGS = {
    Verdict.OK: "unverified",
    Verdict.REVIEW: f"unverified, {VERDICT_WORDS[Verdict.REVIEW].upper()}",
    Verdict.REJECT: "REJECTED",
}
# Who made a result: the networks alone, or a person who corrected it.
_MAKERS = ("AI", "AI, corrected")
_VERIFIED = "verified"
# The Segment Algorithm Name of a demo model.
DEMO_ALGORITHM = "TotalMAP demo model (not for patients)"
_DEMO_MODEL = " DEMO MODEL (not for patients)"

# The characters that values of the VRs SH and ST hold (PS3.5 6.2).
_SHORT_STRING, _SHORT_TEXT = 16, 1024
_LABEL_PREFIX = "TM "


def result_name(segmentation: Segmentation, file_name: str) -> str:
    """Returns the path of a result below the results folder."""
    folder = segmentation.volume.folder
    return f"{folder}/{file_name}" if folder else file_name


def series_uid(segmentation: Segmentation, settings: Settings, kind: str, part: str = "") -> str:
    """Returns the Series Instance UID of a kind of result.

    It is derived from the source instances, the weights, the settings, the engine, its
    arithmetic, the class of device and our version. The same run gives the same series; any
    change gives another one. For corrected labels it is also derived from their SHA-256, from the
    SEGs before the correction and from the decision of the person.
    """
    return derived_uid("series", kind, part, *_inputs(segmentation, settings))


def instance_uid(segmentation: Segmentation, settings: Settings, kind: str, part: str = "") -> str:
    """Returns the SOP Instance UID of a result; it is derived from the labels too."""
    inputs = _inputs(segmentation, settings)
    return derived_uid("instance", kind, part, segmentation.labels_sha256, *inputs)


def tracking_uid(segmentation: Segmentation, settings: Settings, structure_name: str) -> str:
    """Returns the Tracking UID of a structure in this study (PS3.3 C.8.20.2).

    A correction keeps that of its predecessor.
    """
    kept = segmentation.correction.tracking_uids if segmentation.correction else {}
    new = derived_uid("tracking", structure_name, *_inputs(segmentation, settings))
    return kept.get(structure_name, new)


def device_uid() -> str:
    """Returns the UID of this version of our software as an observing device."""
    return derived_uid("device", MANUFACTURER, MODEL_NAME, __version__)


def algorithm_name(segmentation: Segmentation) -> str:
    """Returns a Segment Algorithm Name; a demo model is not called TotalSegmentator."""
    if is_demo(segmentation):
        return DEMO_ALGORITHM
    return f"TotalSegmentator {segmentation.task} {segmentation.variant}"


def algorithm_parameters(segmentation: Segmentation) -> str:
    """Returns Algorithm Parameters: the first 12 digits of the SHA-256 of all weights."""
    weights = "+".join(model.sha256[:12] for model in segmentation.models)
    return f"weights_sha256={weights}"


def series_description(segmentation: Segmentation, settings: Settings, title: str = "") -> str:
    """Returns a Series Description: the content, and a warning that it is not verified."""
    warning = _ending(_MAKERS[segmentation.correction is not None], _WARNINGS[segmentation.verdict])
    if is_demo(segmentation):
        warning = f"{' corrected' if segmentation.correction else ''}{_DEMO_MODEL}"
    end = f" {title}" if title else ""
    text = _filled(settings.results.series_description, segmentation)
    return text[: LONGEST_LINE - len(end) - len(warning)].rstrip() + end + warning


def verified_description(description: str) -> str:
    """Returns the Series Description of a result that a person has verified.

    The warning at its end is replaced. That of a demo model stays.
    """
    text, end = description, _ending(_MAKERS[False], _VERIFIED)
    for maker in _MAKERS:
        for words in (*_WARNINGS.values(), _VERIFIED):
            if text.endswith(_ending(maker, words)):
                text, end = text.removesuffix(_ending(maker, words)), _ending(maker, _VERIFIED)
    if text.endswith(_DEMO_MODEL):
        text, end = text.removesuffix(_DEMO_MODEL), _DEMO_MODEL + end
    return text[: LONGEST_LINE - len(end)].rstrip() + end


def label(segmentation: Segmentation) -> str:
    """Returns a label of at most 16 characters (SH) that tells task and variant, `TM total fast`.

    The name of a long task is cut, so that the variant stays. That of corrected labels tells that
    they are corrected.
    """
    if segmentation.correction is not None:
        return "DEMO CORRECTED" if is_demo(segmentation) else "TM CORRECTED"
    if is_demo(segmentation):
        return "TM DEMO"
    room = _SHORT_STRING - len(_LABEL_PREFIX) - len(segmentation.variant) - 1
    return f"{_LABEL_PREFIX}{segmentation.task[:room]} {segmentation.variant}"


def content_description(segmentation: Segmentation) -> str:
    """Returns a sentence of what a result was made of, with the rule, the series and our version.

    It has at most 1024 characters (ST).
    """
    source = segmentation.volume.slices[0].instance
    number = "" if source.series_number is None else f" {source.series_number}"
    rule = f", rule {segmentation.volume.folder}" if segmentation.volume.folder else ""
    return one_line(
        f"{algorithm_name(segmentation)}{rule}, of series{number} {source.series_description}, "
        f"by {MODEL_NAME} {software_versions()}: {_made_by(segmentation)}, unverified"
    )[:_SHORT_TEXT]


def _made_by(segmentation: Segmentation) -> str:
    corrected = segmentation.correction is not None
    return "AI result corrected by a person" if corrected else "AI result"


def _ending(maker: str, words: str) -> str:
    """Returns the end of a Series Description."""
    return f" ({maker}, {words})"


def _filled(template: str, segmentation: Segmentation) -> str:
    """Returns a template with its placeholders replaced; empty ones leave no gap."""
    source = segmentation.volume.slices[0].instance
    number = source.series_number
    text = template.format(
        task=segmentation.task,
        variant=segmentation.variant,
        rule=segmentation.volume.folder,
        source_number="" if number is None else number,
        source_description=source.series_description,
        version=software_versions(),
    )
    return one_line(text)


def software_versions() -> str:
    """Returns our version for Software Versions (0018,1020)."""
    return __version__


def is_demo(segmentation: Segmentation) -> bool:
    """Returns whether a demo model was used, which is not for patients."""
    return any(model.notice for model in segmentation.models)


def _inputs(segmentation: Segmentation, settings: Settings) -> tuple[str, ...]:
    inputs = (__version__, settings.fingerprint(), segmentation.inputs_sha256)
    correction = segmentation.correction
    if correction is None:
        return inputs
    return (*inputs, segmentation.labels_sha256, *correction.uid_parts)

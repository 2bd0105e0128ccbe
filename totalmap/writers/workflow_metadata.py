"""Summarises a run for metadata.json, for the conditions of a clinical workflow.

Source: Project-MONAI/monai-deploy-workflow-manager, guidelines/mwm-workflow-spec.md, "Argo
Metadata" and "Handled Exception Metadata"; and the code that handles the values
(ArgoMetadataRepository.cs, ConditionalParameterParser.cs, Conditional.cs).

The Task Manager reads the file as a flat dictionary. The Workflow Manager turns each value into
text and puts it into the condition. Hence:

- a key without a value is left out: null is an error there, and an absent key is NULL;
- numbers are integers: fractions would be written with the decimal mark of the server's country;
- a list is text in square brackets, which CONTAINS reads as a list; the database loses JSON lists;
- no key is called JobIdentity: the Task Manager adds its own and fails on a second one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from totalmap.structures import Limitation
from totalmap.writers.status_json import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetadata:
    """The content of metadata.json; docs/results.md explains each key.

    Attributes:
        structures: Names in square brackets.
        findings: Codes in square brackets.
        predecessors: SOP Instance UIDs of the SEGs that a person corrected, in square brackets.
        structures_corrected: Names of the structures that this person changed, in square brackets.
    """

    outcome: str
    exit_status: int
    exception: str | None
    exception_message: str | None
    task: str | None
    variant: str | None
    engine: str | None
    arithmetic: str | None
    search: str | None
    series: int
    series_chosen: int
    structures_found: int
    structures_incomplete: int
    structures: str
    verdict: str
    findings: str
    results: int
    ignored_files: int
    warnings: int
    version: str | None
    predecessors: str | None
    structures_corrected: str | None

    def as_json(self) -> dict[str, str | int]:
        """Returns a dictionary for json.dump, without the keys that have no value."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def summarise(status: RunStatus) -> RunMetadata:
    """Returns the summary of status.json for conditions."""
    error, model, correction = status.error, status.model, status.correction
    found = status.structures
    return RunMetadata(
        # Existing workflows export on "succeeded", so held results need another outcome.
        outcome="held" if status.quality.held else status.outcome,
        exit_status=error.exit_status if error else 0,
        exception=error.kind if error else None,
        exception_message=error.message if error else None,
        task=model.task if model else None,
        variant=model.variant if model else None,
        engine=model.engine if model else None,
        arithmetic=model.arithmetic if model else None,
        search=model.search if model else None,
        series=len({series.series_instance_uid for series in status.series}),
        series_chosen=sum(series.chosen for series in status.series),
        structures_found=len(found),
        structures_incomplete=sum(Limitation.INCOMPLETE in structure.flags for structure in found),
        structures=_list([structure.name for structure in found]),
        verdict=status.quality.verdict,
        findings=_list([finding.code for finding in status.quality.findings]),
        results=len(status.results),
        ignored_files=status.ignored_files,
        warnings=len(status.warnings),
        version=status.versions["totalmap"],
        predecessors=_list(correction.predecessors) if correction else None,
        structures_corrected=(
            _list([structure.name for structure in correction.structures]) if correction else None
        ),
    )


def _list(names: Sequence[str]) -> str:
    """Returns distinct names as a list for conditions."""
    return f"[{','.join(dict.fromkeys(names))}]"

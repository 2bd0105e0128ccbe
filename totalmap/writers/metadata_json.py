"""metadata.json: what a clinical workflow may base its decisions on.

Source: Project-MONAI/monai-deploy-workflow-manager, guidelines/mwm-workflow-spec.md, "Argo
Metadata" and "Handled Exception Metadata"; and what its code makes of the values
(ArgoMetadataRepository.cs, ConditionalParameterParser.cs, Conditional.cs).

The Task Manager takes the file for a flat dictionary, and the Workflow Manager turns each value
into text and puts that into the condition. Hence:

- a key is left out where there is nothing to say: null is an error there, and an absent key NULL;
- numbers are integers, for fractions are written in the manner of the server's country;
- a list is text in square brackets, which CONTAINS takes for a list; a real one is lost on its way
  through the database;
- no key is called JobIdentity: the Task Manager adds one of its own and fails on a second.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from totalmap.structures import Flag
from totalmap.writers.status_json import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetadata:
    """The content of metadata.json; docs/results.md explains each key.

    Attributes:
        structures: Names in square brackets.
        findings: Codes, the same.
    """

    outcome: str
    exit_status: int
    exception: str | None
    exception_message: str | None
    task: str | None
    variant: str | None
    engine: str | None
    arithmetic: str | None
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

    def as_json(self) -> dict[str, str | int]:
        """Returns what json can dump, without the keys that have no value."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def summarise(status: RunStatus) -> RunMetadata:
    """Returns the same as status.json says, for conditions."""
    error, model = status.error, status.model
    found = status.structures
    return RunMetadata(
        # Conditions on success, which lead to an export, were written before there was a verdict.
        outcome="held" if status.quality.held else status.outcome,
        exit_status=error.exit_status if error else 0,
        exception=error.kind if error else None,
        exception_message=error.message if error else None,
        task=model.task if model else None,
        variant=model.variant if model else None,
        engine=model.engine if model else None,
        arithmetic=model.arithmetic if model else None,
        series=len({series.series_instance_uid for series in status.series}),
        series_chosen=sum(series.chosen for series in status.series),
        structures_found=len(found),
        structures_incomplete=sum(Flag.INCOMPLETE in structure.flags for structure in found),
        structures=_list([structure.name for structure in found]),
        verdict=status.quality.verdict,
        findings=_list([finding.code for finding in status.quality.findings]),
        results=len(status.results),
        ignored_files=status.ignored_files,
        warnings=len(status.warnings),
        version=status.versions["totalmap"],
    )


def _list(names: Sequence[str]) -> str:
    """Returns names as a list of the conditions, each once."""
    return f"[{','.join(dict.fromkeys(names))}]"

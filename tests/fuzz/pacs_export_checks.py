"""Checks how an export of a PACS is read: its CT is chosen and all other files are counted."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fuzz.folder_to_results import RULES
from tests.fuzz.mutant_checks import secrets_in
from tests.fuzz.pacs_export import write_export
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.study_choice import choose_study, of_study
from totalmap.settings import GeometrySection

LEFT_OUT = re.compile(r"^file \d+ \(…[0-9a-f]{4}\) .*: left out$")


def objections_to_export(folder: Path, seed: int) -> list[str]:
    """Writes an export and returns the objections to how it is read."""
    written = write_export(folder, seed)
    content = read_study(folder)
    study = choose_study(content, None)
    judgement = judge(of_study(content, study.uid), RULES, GeometrySection())
    (selection,) = selected(judgement)
    found = []
    uids = {item.instance.sop_instance_uid for item in selection.audit.slices}
    if uids != set(written.sop_uids):
        found.append(f"{len(uids)} of {len(written.sop_uids)} slices")
    listed = sum(len(series.instances) for series in content.series)
    left_out = sum(bool(LEFT_OUT.match(warning)) for warning in content.warnings)
    files = sum(path.is_file() for path in folder.rglob("*"))
    if listed + left_out + content.ignored_files != files:
        found.append(f"{listed} + {left_out} + {content.ignored_files} of {files} files")
    reasons = [decision.reason for decision in judgement.decisions]
    return found + secrets_in([*content.warnings, *reasons])

"""Reads and writes the manifest of a models folder: the SHA-256 of every model file.

`manifest.json` lies in the models folder, beside the dataset folders of TotalSegmentator's layout,
`Dataset297_.../<trainer>/fold_0/...`.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from totalmap.default_locations import ADOPTED
from totalmap.engine.tasks import CHECKPOINT_NAME
from totalmap.engine.weight_licences import NOT_STATED, licence_of
from totalmap.errors import ModelError

MANIFEST_NAME = "manifest.json"

_CHECKPOINTS = f"Dataset*/*/fold_*/{CHECKPOINT_NAME}"

# Earlier versions recorded one of these licences for all of TotalSegmentator's weights.
_RECORDED_FOR_ALL = ("Apache-2.0", "unknown")

# Below this Dice, borders have moved too far, and segmentation.arithmetic bf16 is refused.
BF16_MIN_DICE = 0.98
# Below this Dice, a box cuts a structure, and segmentation.search boxes is refused.
BOXES_MIN_DICE = 0.98


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(_Record):
    """A file of a model: its path below the models folder and its SHA-256."""

    path: str
    sha256: str


class Agreement(_Record):
    """Agreement of a network in bfloat16 with the same network in exact arithmetic.

    Attributes:
        min_dice: Lowest Dice of a structure.
        structure: Name of this structure.
        structures: Number of structures that were compared.
    """

    min_dice: float
    structure: str
    structures: int

    @property
    def is_good(self) -> bool:
        """Whether the network may be run in bfloat16."""
        return self.min_dice >= BF16_MIN_DICE


class BoxAgreement(_Record):
    """Agreement of a network that searches the box of its structures with the whole volume.

    Attributes:
        rough_sha256: The SHA-256 of the checkpoint of the rough network that found the box.
        dice: Dice of each structure that was compared, by name.
    """

    rough_sha256: str
    dice: dict[str, float]

    @property
    def worst(self) -> str:
        """The structure with the lowest Dice."""
        return min(self.dice, key=lambda name: self.dice[name])

    @property
    def min_dice(self) -> float:
        """The lowest Dice of a structure."""
        return self.dice[self.worst]

    @property
    def is_good(self) -> bool:
        """Whether the network may search in boxes."""
        return self.min_dice >= BOXES_MIN_DICE


class ModelRecord(_Record):
    """The record of a network: files, source, licence, and agreement in bf16 and in boxes.

    Attributes:
        licence_told: Whether the licence was given when the weights were recorded. If not, it is
            that of TotalSegmentator's weights of this name.
        notice: A warning in English, to show with every result.
        notice_in: The same warning in other languages, by their codes in ISO 639-1. A page in a
            language without one shows the English warning.
    """

    dataset: str
    source: str
    licence: str
    licence_told: bool = False
    notice: str = ""
    notice_in: dict[str, str] = {}
    bf16: Agreement | None = None
    boxes: BoxAgreement | None = None
    files: tuple[FileRecord, ...]

    def checkpoint_sha256(self, path: str) -> str:
        """Returns the SHA-256 of a checkpoint, by its path below the models folder; else empty."""
        return next((file.sha256 for file in self.files if file.path == path), "")

    def with_valid_licence(self) -> Self:
        """Returns the record with the valid licence of the weights.

        A licence that was given is valid. A licence in an older record is valid, unless older
        versions recorded it for all weights. In this case, and for weights that were recorded
        without a licence, the table of TotalSegmentator's licences decides.
        """
        if self.licence_told or self.licence not in (*_RECORDED_FOR_ALL, NOT_STATED):
            return self
        return self.model_copy(update={"licence": published_licence(self.dataset)})


class Manifest(_Record):
    """The record of all networks of a models folder."""

    version: Literal[1] = 1
    models: tuple[ModelRecord, ...] = ()


def published_licence(dataset: str) -> str:
    """Returns the licence under which TotalSegmentator publishes weights; NOT_STATED if unknown."""
    known = licence_of(dataset)
    return known.licence if known else NOT_STATED


def adopt(
    folder: Path,
    *,
    source: str = ADOPTED,
    licence: str | None = None,
    notice: str = "",
    notice_in: Mapping[str, str] | None = None,
    datasets: Collection[str] = (),
) -> Manifest:
    """Records the SHA-256 of the models below a folder of TotalSegmentator's layout.

    Models on record whose files did not change keep their record, unless `datasets` names them.

    Args:
        folder: Models folder.
        source: Source of the weights.
        licence: SPDX identifier; None for the licence of TotalSegmentator's weights of this name.
        notice: A warning in English, to show with every result.
        notice_in: The same warning in other languages, by their codes in ISO 639-1.
        datasets: Dataset folders to record again; all others keep their record. Empty: all folders
            that are new or whose files changed.

    Raises:
        ModelError: The folder holds no model, a named model is missing, or the manifest can't be
            written.
    """
    present = _find_datasets(folder, datasets)
    known = read_manifest(folder) if (folder / MANIFEST_NAME).exists() else Manifest()
    on_record = {record.dataset: record for record in known.models}
    for dataset in datasets or present:
        fresh = ModelRecord(
            dataset=dataset,
            source=source,
            licence=licence or published_licence(dataset),
            licence_told=bool(licence),
            notice=notice,
            notice_in=dict(notice_in or {}),
            files=_hash_files(folder, folder / dataset),
        )
        old = on_record.get(dataset)
        if old is None or old.files != fresh.files:
            on_record[dataset] = fresh
        elif datasets:
            measured = {"bf16": old.bf16, "boxes": old.boxes}
            on_record[dataset] = fresh.model_copy(update=measured)
    models = tuple(on_record[dataset] for dataset in present if dataset in on_record)
    manifest = Manifest(models=models)
    _write_manifest(folder, manifest)
    return manifest


def _find_datasets(folder: Path, wanted: Collection[str]) -> list[str]:
    """Returns the dataset folders with a checkpoint; makes sure that the wanted ones are there."""
    present = sorted({path.relative_to(folder).parts[0] for path in folder.glob(_CHECKPOINTS)})
    if not present:
        raise ModelError(
            f"{folder} holds no model: expected Dataset.../<trainer>/fold_0/{CHECKPOINT_NAME}"
        )
    if missing := sorted(set(wanted) - set(present)):
        raise ModelError(f"{folder} holds no model {missing[0]}; it holds {', '.join(present)}")
    return present


def record_agreements(folder: Path, agreements: Mapping[str, Agreement]) -> Manifest:
    """Adds measurements of bf16, by dataset, to the record of a models folder.

    They are deleted when a changed file of the network is adopted.
    """
    return _record_measured(folder, "bf16", agreements)


def record_box_agreements(folder: Path, agreements: Mapping[str, BoxAgreement]) -> Manifest:
    """Adds measurements of boxes, by dataset, as `record_agreements` adds those of bf16."""
    return _record_measured(folder, "boxes", agreements)


def _record_measured(
    folder: Path, field: str, measured: Mapping[str, Agreement] | Mapping[str, BoxAgreement]
) -> Manifest:
    manifest = Manifest(
        models=tuple(
            record.model_copy(update={field: measured[record.dataset]})
            if record.dataset in measured
            else record
            for record in read_manifest(folder).models
        )
    )
    _write_manifest(folder, manifest)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a models folder.

    Raises:
        ModelError: The manifest is missing or damaged.
    """
    path = folder / MANIFEST_NAME
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(
            f"the models in {folder} are not on record: run `totalmap models adopt {folder}`"
        ) from None
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path} can't be read: {error}") from error
    return Manifest(models=tuple(record.with_valid_licence() for record in manifest.models))


def _hash_files(folder: Path, dataset_folder: Path) -> tuple[FileRecord, ...]:
    paths = [
        *dataset_folder.glob("*/plans.json"),
        *dataset_folder.glob("*/dataset.json"),
        *dataset_folder.glob(f"*/fold_*/{CHECKPOINT_NAME}"),
    ]
    return tuple(
        FileRecord(path=path.relative_to(folder).as_posix(), sha256=sha256_of(path))
        for path in sorted(paths)
    )


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file.

    Raises:
        ModelError: The file can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from error


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    path = folder / MANIFEST_NAME
    aside = path.with_suffix(".part")
    try:
        aside.write_text(json.dumps(manifest.model_dump(), indent=2) + "\n", encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise ModelError(f"{path} can't be written: {error.strerror}") from error

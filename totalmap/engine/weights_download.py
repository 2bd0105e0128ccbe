"""Downloads TotalSegmentator's weights; only this module uses the network, and only on request.

Source: totalsegmentator.libs.download_pretrained_weights, whose catalogue names the archives.
"""

import shutil
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from totalmap.default_locations import RELEASES_URL
from totalmap.engine.licence_rules import require_accepted
from totalmap.engine.nnunet_plans import read_plans
from totalmap.engine.tasks import SubModel, Task
from totalmap.engine.weights import how_to_get, verify_chain
from totalmap.engine.weights_manifest import MANIFEST_NAME, Manifest, adopt, read_manifest
from totalmap.errors import (
    ConfigError,
    ModelError,
    ResourceError,
    UnsupportedModel,
    without_credentials,
)
from totalmap.log import get_logger

TIMEOUT_SECONDS = 60

log = get_logger()


def install(
    task: Task,
    folder: Path,
    base_url: str = RELEASES_URL,
    accepted_licences: Collection[str] = (),
) -> Manifest:
    """Downloads and records the networks of a task and of the tasks that it needs.

    Networks that are in the folder already are not downloaded again. An archive is downloaded,
    unpacked and validated in a hidden folder, so a failed download leaves nothing behind.

    Args:
        task: The task, which names the archives.
        folder: Models folder; created if missing.
        base_url: Address of `<release>/<dataset>.zip`, for example of a mirror in the hospital.
        accepted_licences: Accepted licences of weights that are not free for any use.

    Raises:
        ResourceError: The server can't be reached, or the download is truncated.
        ModelError: The archive is missing, damaged or not the expected network, only
            TotalSegmentator's licence server has it, or its licence is not accepted.
        ConfigError: The address is not HTTP, or the folder can't be written.
    """
    if not base_url.startswith(("https://", "http://")):
        raise ConfigError(f"{base_url} is not an http or https address")
    require_accepted(task, accepted_licences)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        installed = [
            model.dataset
            for needed in task.chain
            for model in needed.models
            if _install_if_missing(needed, model, folder, base_url)
        ]
    except PermissionError as error:
        raise ConfigError(f"{folder} can't be written: {error.strerror}") from error
    manifest = _record(task, folder, without_credentials(base_url), installed)
    verify_chain(folder, task)
    return manifest


def _record(task: Task, folder: Path, base_url: str, installed: Collection[str]) -> Manifest:
    """Records the networks that were installed, and those of the task that were not on record."""
    manifest = read_manifest(folder) if (folder / MANIFEST_NAME).exists() else Manifest()
    if installed:
        manifest = adopt(folder, source=base_url, datasets=installed)
    on_record = {record.dataset for record in manifest.models}
    needed = {model.dataset for part in task.chain for model in part.models}
    if others := sorted(needed - on_record):
        manifest = adopt(folder, datasets=others)
    return manifest


def _install_if_missing(task: Task, model: SubModel, folder: Path, base_url: str) -> bool:
    if (folder / model.dataset / model.trainer_folder).is_dir():
        return False
    _install_model(task, model, folder, base_url)
    return True


def _install_model(task: Task, model: SubModel, folder: Path, base_url: str) -> None:
    if not model.release:
        raise ModelError(f"weights of task {task.name} can't be installed. {how_to_get(task)}")
    url = f"{base_url}/{model.release}/{model.dataset}.zip"
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as name:
        aside = Path(name)
        archive = aside / "weights.zip"
        _download(url, archive)
        _unpack(archive, aside, url)
        if model.folds and not (aside / model.checkpoint).is_file():
            raise ModelError(f"{url} does not hold {model.checkpoint}")
        _validate_plans(aside / model.dataset / model.trainer_folder, model, url)
        (aside / model.dataset).rename(folder / model.dataset)
    log.info("model_installed", dataset=model.dataset, url=url)


def _validate_plans(trainer_folder: Path, model: SubModel, url: str) -> None:
    try:
        heads = read_plans(trainer_folder).heads
    except UnsupportedModel:  # TotalSegmentator's python API may support it
        return
    if heads > len(model.label_table):
        raise ModelError(f"{url} has {heads} labels, expected {len(model.label_table)}")


def _download(url: str, archive: Path) -> None:
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer,  # noqa: S310  checked
            archive.open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)
            expected = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        raise ModelError(f"{url}: the server answers {error.code} {error.reason}") from error
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise ResourceError(f"{url} can't be downloaded: {reason}; try again later") from error
    found = archive.stat().st_size
    if expected is not None and found != int(expected):
        raise ResourceError(f"{url} broke off after {found} of {expected} bytes; try again")


def _unpack(archive: Path, folder: Path, url: str) -> None:
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.namelist():
                path = PurePosixPath(member)
                if path.is_absolute() or ".." in path.parts:
                    raise ModelError(f"{url} holds the unsafe path {member}")
            packed.extractall(folder)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ModelError(f"{url} is not a whole zip archive: {error}") from error

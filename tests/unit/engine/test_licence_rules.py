import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.check_settings_and_weights import require_ready
from tests.networks import build_task
from totalmap.engine.engine import Engine
from totalmap.engine.licence_rules import require_accepted, require_licences, require_number
from totalmap.engine.tasks import load_task
from totalmap.engine.weights_manifest import MANIFEST_NAME, adopt, read_manifest
from totalmap.errors import ModelError
from totalmap.settings import SegmentationSection

ANEURYSM = load_task("brain_aneurysm")
(MAXIMUS,) = (model.dataset for model in ANEURYSM.models)
BREASTS = load_task("breasts")
ACCEPTED = SegmentationSection(task="brain_aneurysm", accepted_licences=("CC-BY-NC-4.0",))


def recorded(models: Path, licence: str | None, dataset: str) -> str:
    """Records weights anew, and returns the licence that is on record then."""
    adopt(models, licence=licence, datasets=[dataset])
    return next(one.licence for one in read_manifest(models).models if one.dataset == dataset)


def written_by_an_earlier_version(models: Path, licence: str) -> None:
    path = models / MANIFEST_NAME
    manifest = json.loads(path.read_text())
    for record in manifest["models"]:
        record["licence"] = licence
        del record["licence_told"]
    path.write_text(json.dumps(manifest))


@pytest.fixture
def aneurysm_models(tmp_path: Path) -> Path:
    models = build_task(tmp_path / "models", ANEURYSM)
    assert recorded(models, None, MAXIMUS) == "CC-BY-NC-4.0"
    return models


def test_non_commercial_weights_are_refused_with_task_licence_source_and_setting(
    aneurysm_models: Path,
) -> None:
    with pytest.raises(ModelError) as refused:
        Engine(SegmentationSection(task="brain_aneurysm"), aneurysm_models)
    for said in (
        f"task brain_aneurysm: the weights {MAXIMUS} are under CC-BY-NC-4.0",
        "non-commercial use only",
        "https://github.com/wasserth/TotalSegmentator/blob/v2.18.0/README.md#subtasks",
        "segmentation.accepted_licences: [CC-BY-NC-4.0]",
    ):
        assert said in str(refused.value)


def test_weights_under_an_accepted_licence_are_allowed(aneurysm_models: Path) -> None:
    require_licences(ANEURYSM, ACCEPTED, aneurysm_models)


def test_the_preflight_refuses_weights_whose_licence_is_not_accepted(
    aneurysm_models: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "app.yaml"
    settings.write_text("segmentation: {task: brain_aneurysm}")
    with pytest.raises(ModelError, match=r"accepted_licences: \[CC-BY-NC-4\.0\]"):
        require_ready(settings, aneurysm_models)
    settings.write_text("segmentation: {task: brain_aneurysm, accepted_licences: [CC-BY-NC-4.0]}")
    assert require_ready(settings, aneurysm_models) == "task brain_aneurysm, full"


@pytest.mark.parametrize("licence", ["Apache-2.0", "unknown"])
def test_a_licence_that_earlier_versions_recorded_for_all_weights_is_replaced(
    aneurysm_models: Path, licence: str
) -> None:
    written_by_an_earlier_version(aneurysm_models, licence)
    with pytest.raises(ModelError, match=r"CC-BY-NC-4\.0"):
        require_licences(ANEURYSM, SegmentationSection(), aneurysm_models)
    (record,) = adopt(aneurysm_models).models
    assert record.licence == "CC-BY-NC-4.0"


def test_any_other_licence_in_an_earlier_weights_manifest_is_kept(aneurysm_models: Path) -> None:
    written_by_an_earlier_version(aneurysm_models, "LicenseRef-OurHospital")
    (record,) = adopt(aneurysm_models).models
    assert record.licence == "LicenseRef-OurHospital"


def test_a_licence_given_by_the_user_replaces_that_of_totalsegmentators_weights(
    aneurysm_models: Path,
) -> None:
    assert recorded(aneurysm_models, "Apache-2.0", MAXIMUS) == "Apache-2.0"
    require_licences(ANEURYSM, SegmentationSection(), aneurysm_models)


def test_a_licence_given_by_the_user_that_is_not_known_to_be_free_has_to_be_accepted(
    tmp_path: Path,
) -> None:
    models = build_task(tmp_path, BREASTS)
    (dataset,) = (model.dataset for model in BREASTS.models)
    recorded(models, "LicenseRef-OurHospital", dataset)
    with pytest.raises(ModelError, match=r"accepted_licences: \[LicenseRef-OurHospital\]"):
        require_licences(BREASTS, SegmentationSection(), models)
    accepting = SegmentationSection(accepted_licences=("LicenseRef-OurHospital",))
    require_licences(BREASTS, accepting, models)


def test_a_task_is_refused_if_the_licence_of_its_rough_network_is_not_accepted(
    tmp_path: Path,
) -> None:
    task = load_task("lung_nodules")
    for one in task.chain:
        build_task(tmp_path, one)
    (rough,) = (model.dataset for model in task.chain[0].models)
    recorded(tmp_path, "CC-BY-NC-4.0", rough)
    with pytest.raises(ModelError, match=f"task lung_nodules: the weights {rough}"):
        require_licences(task, SegmentationSection(), tmp_path)


def test_weights_licensed_by_number_are_allowed_with_a_number(tmp_path: Path) -> None:
    task = load_task("appendicular_bones")
    models = build_task(tmp_path, task)
    (dataset,) = (model.dataset for model in task.models)
    assert recorded(models, None, dataset) == "LicenseRef-TotalSegmentator"
    number = SecretStr("aca_00000000000000")
    require_licences(task, SegmentationSection(licence_number=number), models)


@pytest.mark.parametrize("number", [None, SecretStr("short")])
def test_a_task_licensed_by_number_is_refused_without_one(number: SecretStr | None) -> None:
    task = load_task("appendicular_bones")
    with pytest.raises(ModelError, match=r"appendicular_bones needs a licence.*https://") as caught:
        require_number(task, number)
    assert "short" not in str(caught.value)


def test_a_licensed_task_with_a_number_and_a_free_task_are_allowed() -> None:
    require_number(load_task("appendicular_bones"), SecretStr("aca_00000000000000"))
    require_number(load_task("total"), None)


def test_weights_without_a_stated_licence_are_not_installed_unless_that_is_accepted() -> None:
    task = load_task("total_v3")
    with pytest.raises(ModelError, match=r"no stated licence.*--accept-licence NOASSERTION"):
        require_accepted(task, ())
    require_accepted(task, ("NOASSERTION",))
    require_accepted(load_task("total"), ())

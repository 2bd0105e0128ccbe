import shutil
from pathlib import Path

import pytest

from tests.networks import build_task
from totalmap.engine.supported_tasks import why_unsupported
from totalmap.engine.tasks import load_task
from totalmap.engine.weights import require_good_bf16, verify_chain, verify_models
from totalmap.engine.weights_manifest import (
    MANIFEST_NAME,
    Agreement,
    adopt,
    read_manifest,
    record_agreements,
)
from totalmap.errors import ModelError
from totalmap.settings import Variant
from totalmap.texts.catalogue import Language, texts_in

TASK = load_task("total", Variant.FAST)
(MODEL,) = TASK.models


@pytest.fixture
def models(fast_models: Path, tmp_path: Path) -> Path:
    """A copy of a models folder on record."""
    return Path(shutil.copytree(fast_models, tmp_path / "models"))


def test_a_network_model_on_record_is_found(models: Path) -> None:
    (verified,) = verify_models(models, TASK)
    assert verified.checkpoint == models / MODEL.checkpoint
    assert verified.identity.source == "random weights for tests"
    assert len(verified.identity.sha256) == 64


def test_a_models_folder_one_level_down_is_found(models: Path) -> None:
    (verified,) = verify_models(models.parent, TASK)
    assert verified.checkpoint == models / MODEL.checkpoint


def test_a_network_model_that_is_in_two_folders_is_refused(models: Path) -> None:
    shutil.copytree(models, models.parent / "other")
    with pytest.raises(ModelError, match="other"):
        verify_models(models.parent, TASK)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"])
def test_a_changed_model_file_is_refused(models: Path, name: str) -> None:
    path = models / MODEL.dataset / MODEL.trainer_folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="was changed"):
        verify_models(models, TASK)


def test_a_model_without_record_is_refused(models: Path) -> None:
    (models / MANIFEST_NAME).unlink()
    with pytest.raises(ModelError, match="totalmap models adopt"):
        verify_models(models, TASK)


def test_a_missing_model_is_named_with_the_command_that_installs_it(models: Path) -> None:
    with pytest.raises(ModelError, match="totalmap models install total --variant full"):
        verify_models(models, load_task("total", Variant.FULL))


def test_a_missing_models_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="none"):
        verify_models(tmp_path / "none", TASK)


@pytest.mark.parametrize("content", ["", "[]", '{"models": 3}', '{"modells": []}'])
def test_a_damaged_manifest_is_refused(models: Path, content: str) -> None:
    (models / MANIFEST_NAME).write_text(content)
    with pytest.raises(ModelError, match=MANIFEST_NAME):
        verify_models(models, TASK)


def test_adopting_weights_again_keeps_the_records_of_unchanged_models(models: Path) -> None:
    before = read_manifest(models)
    assert adopt(models, source="elsewhere") == before


def test_adopting_a_changed_model_records_the_new_source(models: Path) -> None:
    path = models / MODEL.dataset / MODEL.trainer_folder / "dataset.json"
    path.write_text(path.read_text() + "\n")
    (record,) = adopt(models, source="elsewhere").models
    assert record.source == "elsewhere"
    verify_models(models, TASK)


def test_adopting_a_named_model_records_it_again_and_keeps_other_records(models: Path) -> None:
    other = load_task("total", Variant.FASTEST)
    build_task(models, other)
    before = {record.dataset: record for record in read_manifest(models).models}
    record_agreements(models, {MODEL.dataset: agreement(0.99)})
    manifest = adopt(models, source="elsewhere", licence="MIT", datasets=[MODEL.dataset])
    after = {record.dataset: record for record in manifest.models}
    (unnamed,) = (model.dataset for model in other.models)
    assert after[unnamed] == before[unnamed]
    assert (after[MODEL.dataset].source, after[MODEL.dataset].licence) == ("elsewhere", "MIT")
    assert after[MODEL.dataset].bf16 == agreement(0.99)


def test_notice_of_a_model_is_told_in_the_languages_of_its_record(models: Path) -> None:
    adopt(models, notice="a try", notice_in={"de": "ein Versuch"}, datasets=[MODEL.dataset])
    (model,) = verify_models(models, TASK)
    assert model.identity.notice == "a try"
    assert texts_in(Language.GERMAN).told(model.identity.notice) == "ein Versuch"


def test_adopting_a_missing_model_is_refused_with_its_name(models: Path) -> None:
    with pytest.raises(ModelError, match=f"no model Dataset1_none; it holds {MODEL.dataset}"):
        adopt(models, datasets=["Dataset1_none"])


def test_a_folder_without_models_can_not_be_adopted_as_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        adopt(tmp_path)
    assert not list(tmp_path.iterdir())


def agreement(min_dice: float) -> Agreement:
    return Agreement(min_dice=min_dice, structure="spleen", structures=3)


def test_bf16_without_a_measurement_is_refused_with_the_command_that_measures(models: Path) -> None:
    with pytest.raises(ModelError, match="--bf16-on"):
        require_good_bf16(verify_models(models, TASK))


def test_bf16_that_agrees_too_little_is_refused_with_the_reason(models: Path) -> None:
    record_agreements(models, {MODEL.dataset: agreement(0.9799)})
    with pytest.raises(ModelError, match=r"spleen .* 0\.9799, at least 0\.98"):
        require_good_bf16(verify_models(models, TASK))


def test_bf16_that_agrees_is_allowed_until_a_model_file_changes(models: Path) -> None:
    record_agreements(models, {MODEL.dataset: agreement(0.98)})
    require_good_bf16(verify_models(models, TASK))
    adopt(models)
    require_good_bf16(verify_models(models, TASK))
    path = models / MODEL.dataset / MODEL.trainer_folder / "dataset.json"
    path.write_text(path.read_text() + " ")
    adopt(models)
    with pytest.raises(ModelError, match="was not measured"):
        require_good_bf16(verify_models(models, TASK))


def test_all_networks_that_a_task_averages_are_verified(tmp_path: Path) -> None:
    task = load_task("brain_aneurysm")
    (model,) = task.models
    models = build_task(tmp_path, task)
    assert len(verify_models(models, task)) == 2
    added = models / model.dataset / model.trainer_folder / "fold_2"
    shutil.copytree(added.with_name("fold_1"), added)
    with pytest.raises(ModelError, match=r"fold_2.*not on record"):
        verify_models(models, task)


def test_missing_weights_of_a_licensed_task_are_named_with_the_download_command(
    models: Path,
) -> None:
    with pytest.raises(ModelError, match="totalseg_download_weights -t face"):
        verify_models(models, load_task("face"))


def test_the_error_on_a_missing_rough_network_names_the_task_to_install(models: Path) -> None:
    wanted = load_task("lung_nodules")
    advice = f"totalmap models install lung_nodules --variant full -m {models}"
    with pytest.raises(ModelError, match=f"{advice}.* or name another folder with -m"):
        verify_chain(models, wanted)
    with pytest.raises(ModelError, match=advice):
        why_unsupported(wanted, models)


def test_the_error_on_a_licensed_task_names_the_rough_task_to_install(models: Path) -> None:
    wanted = load_task("brain_structures")
    rough = wanted.chain[0]
    advice = f"totalmap models install {rough.name} --variant {rough.variant}"
    with pytest.raises(ModelError, match=advice):
        verify_chain(models, wanted)


def test_the_error_on_chosen_structures_names_the_rough_variant_to_install(models: Path) -> None:
    wanted = load_task("total", Variant.FAST, ("liver",))
    with pytest.raises(ModelError, match="totalmap models install total --variant fastest"):
        verify_chain(models, wanted)


def test_a_missing_models_folder_is_named_with_the_command_that_creates_it(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(ModelError, match=f"install total --variant fast -m {folder}"):
        verify_models(folder, TASK)

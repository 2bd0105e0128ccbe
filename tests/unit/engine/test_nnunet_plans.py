import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from totalmap.engine.nnunet_plans import ZScoreNormalization, read_plans
from totalmap.engine.tasks import load_task
from totalmap.errors import ModelError, UnsupportedModel
from totalmap.settings import Variant


@pytest.fixture
def trainer_folder(fast_models: Path, tmp_path: Path) -> Path:
    """A copy of the JSON files of a model, to be changed."""
    (model,) = load_task("total", Variant.FAST).models
    source = fast_models / model.dataset / model.trainer_folder
    return Path(shutil.copytree(source, tmp_path / source.name))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_configuration(path: Path, **values: Any) -> None:
    document = json.loads(path.read_text())
    document["configurations"]["3d_fullres"] |= values
    path.write_text(json.dumps(document))


def test_the_architecture_of_a_network_equals_the_one_that_nnunet_reads_from_its_plans(
    trainer_folder: Path,
) -> None:
    plans = read_plans(trainer_folder)
    document = json.loads((trainer_folder / "plans.json").read_text())
    theirs = PlansManager(document).get_configuration("3d_fullres")
    assert plans.architecture.network_class == theirs.network_arch_class_name
    assert plans.architecture.arguments == theirs.network_arch_init_kwargs
    assert list(plans.architecture.arguments_to_import) == list(
        theirs.network_arch_init_kwargs_req_import
    )
    assert plans.patch_size == tuple(theirs.patch_size)


def test_nnunet_plans_in_the_newer_format_are_read(trainer_folder: Path) -> None:
    old = read_plans(trainer_folder)
    path = trainer_folder / "plans.json"
    document = json.loads(path.read_text())
    document["configurations"]["3d_fullres"]["architecture"] = {
        "network_class_name": old.architecture.network_class,
        "arch_kwargs": dict(old.architecture.arguments),
        "_kw_requires_import": list(old.architecture.arguments_to_import),
    }
    path.write_text(json.dumps(document))
    assert read_plans(trainer_folder) == old


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("plans.json", {"transpose_forward": [2, 0, 1]}, "transpose_forward"),
        ("dataset.json", {"channel_names": {"0": "CT", "1": "PET"}}, "channel_names"),
        ("dataset.json", {"labels": {"background": 0, "both": [1, 2]}}, "labels"),
    ],
)
def test_nnunet_plans_of_a_model_with_an_unsupported_feature_are_refused(
    trainer_folder: Path, name: str, values: dict[str, Any], message: str
) -> None:
    change(trainer_folder / name, **values)
    with pytest.raises(UnsupportedModel, match=message):
        read_plans(trainer_folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"normalization_schemes": ["NoNormalization"]}, "normalization_schemes"),
        (
            {"normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [True]},
            "use_mask_for_norm",
        ),
        ({"preprocessor_name": "ResamplingPreprocessor"}, "preprocessor_name"),
        ({"previous_stage": "3d_lowres"}, "previous_stage"),
        ({"UNet_class_name": "ResidualEncoderUNet"}, "ResidualEncoderUNet"),
    ],
)
def test_nnunet_plans_of_a_configuration_with_an_unsupported_feature_are_refused(
    trainer_folder: Path, values: dict[str, Any], message: str
) -> None:
    change_configuration(trainer_folder / "plans.json", **values)
    with pytest.raises(UnsupportedModel, match=message):
        read_plans(trainer_folder)


def test_the_z_score_normalization_is_read_from_nnunet_plans(trainer_folder: Path) -> None:
    change_configuration(
        trainer_folder / "plans.json", normalization_schemes=["ZScoreNormalization"]
    )
    assert read_plans(trainer_folder).normalization == ZScoreNormalization()


def test_the_nnunet_configuration_named_by_the_folder_is_read_with_inherited_values(
    trainer_folder: Path,
) -> None:
    path = trainer_folder / "plans.json"
    configurations = json.loads(path.read_text())["configurations"]
    heir = {"inherits_from": "3d_fullres", "patch_size": [48, 32, 64]}
    change(path, configurations=configurations | {"3d_fullres_high": heir})
    renamed = trainer_folder.with_name(trainer_folder.name + "_high")
    trainer_folder.rename(renamed)
    plans = read_plans(renamed)
    theirs = PlansManager(json.loads((renamed / "plans.json").read_text())).get_configuration(
        "3d_fullres_high"
    )
    assert plans.patch_size == tuple(theirs.patch_size) == (48, 32, 64)
    assert plans.spacing_mm == tuple(theirs.spacing)


def test_an_older_nnunet_dataset_json_with_the_key_modality_is_read(trainer_folder: Path) -> None:
    path = trainer_folder / "dataset.json"
    document = json.loads(path.read_text())
    document["modality"] = document.pop("channel_names")
    path.write_text(json.dumps(document))
    assert read_plans(trainer_folder).heads == len(document["labels"])


def test_the_nnunet_label_ignore_has_no_output_channel(trainer_folder: Path) -> None:
    before = read_plans(trainer_folder).heads
    path = trainer_folder / "dataset.json"
    labels = json.loads(path.read_text())["labels"]
    change(path, labels=labels | {"ignore": len(labels)})
    assert read_plans(trainer_folder).heads == before


@pytest.mark.parametrize("configurations", [{}, {"3d_fullres": {"inherits_from": "3d_fullres"}}])
def test_a_missing_or_circular_nnunet_configuration_is_refused(
    trainer_folder: Path, configurations: dict[str, Any]
) -> None:
    change(trainer_folder / "plans.json", configurations=configurations)
    with pytest.raises(ModelError, match="3d_fullres"):
        read_plans(trainer_folder)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_plans_json_is_refused(trainer_folder: Path, content: str) -> None:
    (trainer_folder / "plans.json").write_text(content)
    with pytest.raises(ModelError, match=r"plans\.json"):
        read_plans(trainer_folder)

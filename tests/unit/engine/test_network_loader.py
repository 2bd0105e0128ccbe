import json
import os
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from totalmap.engine.checkpoints import read_weights, require_no_code
from totalmap.engine.network_loader import load_network
from totalmap.engine.nnunet_plans import Plans, read_plans
from totalmap.engine.tasks import load_task
from totalmap.errors import ModelError
from totalmap.settings import Variant

(MODEL,) = load_task("total", Variant.FAST).models


@pytest.fixture
def plans(fast_models: Path) -> Plans:
    return read_plans(fast_models / MODEL.dataset / MODEL.trainer_folder)


def test_a_loaded_network_has_the_weights_of_its_checkpoint(
    fast_models: Path, plans: Plans
) -> None:
    checkpoint = fast_models / MODEL.checkpoint
    network = load_network(plans, checkpoint)
    expected = torch.load(checkpoint, weights_only=True)["network_weights"]
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, expected[name])
    assert not network.training


def test_checkpoints_with_numpy_values_are_read(
    fast_models: Path, plans: Plans, tmp_path: Path
) -> None:
    document = torch.load(fast_models / MODEL.checkpoint, weights_only=True)
    numbers = [np.float64(0.9), np.float32(0.9), np.int64(9), np.bool_(True)]
    document["logging"] = {"ema_fg_dice": numbers}
    checkpoint = tmp_path / "checkpoint_final.pth"
    torch.save(document, checkpoint)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(checkpoint, weights_only=True)
    load_network(plans, checkpoint)


class Code:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self._file}",)


def test_code_in_a_checkpoint_is_never_run(fast_models: Path, plans: Plans, tmp_path: Path) -> None:
    document = torch.load(fast_models / MODEL.checkpoint, weights_only=True)
    document["logging"] = Code(tmp_path / "it ran")
    checkpoint = tmp_path / "checkpoint_final.pth"
    torch.save(document, checkpoint)
    for read in (partial(load_network, plans), require_no_code):
        with pytest.raises(ModelError, match=r"names posix\.system, which") as caught:
            read(checkpoint)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize("read", [read_weights, require_no_code])
def test_a_file_that_is_no_checkpoint_is_refused_as_network_weights(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    file = tmp_path / "it ran"
    for number, content in enumerate((pickle.dumps(Code(file)), b"", b"PK no zip")):
        checkpoint = tmp_path / f"{number}.pth"
        checkpoint.write_bytes(content)
        with pytest.raises(ModelError):
            read(checkpoint)
    assert not file.exists()


def test_a_checkpoint_of_another_network_is_refused(
    fast_models: Path, plans: Plans, tmp_path: Path
) -> None:
    document = torch.load(fast_models / MODEL.checkpoint, weights_only=True)
    document["network_weights"].popitem()
    torch.save(document, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="does not fit"):
        load_network(plans, tmp_path / "other.pth")


def test_nnunet_plans_that_name_a_foreign_class_are_refused(
    fast_models: Path, tmp_path: Path
) -> None:
    source = fast_models / MODEL.dataset / MODEL.trainer_folder
    document = json.loads((source / "plans.json").read_text())
    document["configurations"]["3d_fullres"]["architecture"] = {
        "network_class_name": "subprocess.Popen",
        "arch_kwargs": {},
        "_kw_requires_import": [],
    }
    copy = Path(shutil.copytree(source, tmp_path / source.name))
    (copy / "plans.json").write_text(json.dumps(document))
    with pytest.raises(ModelError, match="foreign class"):
        load_network(read_plans(copy), fast_models / MODEL.checkpoint)

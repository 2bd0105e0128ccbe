from pathlib import Path

import pytest

from gateway.work.application_settings import write_overlay
from tests.conftest import REPOSITORY
from totalmap.errors import ConfigError
from totalmap.settings import Device, ResultKind, load_settings

BASE = REPOSITORY / "app.yaml"


def test_a_gateway_rule_overrides_only_the_application_settings_that_it_names(
    tmp_path: Path,
) -> None:
    path = tmp_path / "settings.yaml"
    rule = {"segmentation": {"task": "lung_nodules"}, "results": {"kinds": ["seg"]}}
    write_overlay(BASE, rule, "cuda:1", path)
    laid, base = load_settings(path, {}), load_settings(BASE, {})
    assert laid.segmentation.task == "lung_nodules"
    assert laid.segmentation.device is Device.CUDA
    assert laid.results.kinds == (ResultKind.SEG,)
    assert laid.segmentation.arithmetic == base.segmentation.arithmetic
    assert laid.results.series_numbers == base.results.series_numbers
    assert laid.geometry == base.geometry


def test_a_key_for_uids_of_results_is_laid_over_the_settings_of_the_application(
    tmp_path: Path,
) -> None:
    path = tmp_path / "settings.yaml"
    write_overlay(BASE, {"results": {"kinds": ["seg"]}}, "cpu", path, "0a1b")
    laid = load_settings(path, {})
    assert (laid.results.uid_key, laid.results.kinds) == ("0a1b", (ResultKind.SEG,))
    write_overlay(BASE, {}, "cpu", path)
    assert load_settings(path, {}).fingerprint() == load_settings(BASE, {}).fingerprint()


def test_a_misspelt_key_of_a_gateway_rule_is_found_by_the_application(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    write_overlay(BASE, {"segmentation": {"taks": "total"}}, "cpu", path)
    with pytest.raises(ConfigError, match=r"segmentation\.taks"):
        load_settings(path, {})


def test_a_missing_app_yaml_for_the_worker_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        write_overlay(tmp_path / "nowhere.yaml", {}, "cpu", tmp_path / "settings.yaml")

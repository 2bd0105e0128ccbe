from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.conftest import REPOSITORY
from totalmap.errors import ConfigError
from totalmap.selection_settings import Criterion, SelectionRule
from totalmap.settings import (
    Device,
    GapPolicy,
    GeometrySection,
    ResultKind,
    ResultsSection,
    SegmentationSection,
    Settings,
    Variant,
    load_settings,
)

APP_YAML = REPOSITORY / "app.yaml"


def test_app_yaml_holds_the_defaults() -> None:
    from_file = load_settings(APP_YAML, {})
    for section in ("study", "selection", "geometry", "segmentation", "results", "logging"):
        assert getattr(from_file, section) == getattr(Settings(), section)


def test_the_environment_overrides_the_settings_file() -> None:
    settings = load_settings(
        APP_YAML,
        {
            "TOTALMAP_SEGMENTATION__VARIANT": "full",
            "TOTALMAP_RESULTS__KINDS": "[seg]",
            "TOTALMAP_SELECTION__RULES": "[{name: thin, max_slice_spacing_mm: 2.5}]",
            "TOTALMAP_GEOMETRY__GAPS": "fill",
            "PATH": "/bin",
        },
    )
    assert settings.segmentation.variant is Variant.FULL
    assert settings.results.kinds == (ResultKind.SEG,)
    (rule,) = settings.selection.rules
    assert rule.name == "thin"
    assert rule.max_slice_spacing_mm == 2.5
    assert rule.min_slices == SelectionRule().min_slices
    assert settings.geometry.gaps is GapPolicy.FILL


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOTALMAP_SEGMENTATION__VARIENT", "full"),
        ("TOTALMAP_SEGMENTATON__VARIANT", "full"),
        ("TOTALMAP_VARIANT", "full"),
        ("TOTALMAP_SEGMENTATION__VARIANT", "slow"),
        ("TOTALMAP_SELECTION__RULES", "[{min_slices: 1}]"),
        ("TOTALMAP_SELECTION__RULES", "[]"),
        ("TOTALMAP_SELECTION__RULES", "[{name: ../up}]"),
        ("TOTALMAP_SELECTION__RULES", "[{name: a}, {name: a}]"),
        ("TOTALMAP_SELECTION__RULES", "[{kernels: ['(']}]"),
        ("TOTALMAP_SELECTION__RULES", "[{rank: [thinn]}]"),
        ("TOTALMAP_GEOMETRY__GAPS", "guess"),
        ("TOTALMAP_RESULTS__KINDS", "[]"),
        ("TOTALMAP_RESULTS__KINDS", "{"),
    ],
)
def test_an_invalid_environment_variable_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name.split("__")[-1].lower() + "|" + name):
        load_settings(APP_YAML, {name: value})


@pytest.mark.parametrize(
    "text",
    [
        "segmentaton:\n  task: total\n",
        "segmentation:\n  tsk: total\n",
        "[1, 2]",
        "a: [",
        "study: 3",
    ],
)
def test_an_invalid_settings_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"app\.yaml"):
        load_settings(path, {})


def test_a_missing_settings_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_settings(tmp_path / "none.yaml", {})


def test_every_setting_of_the_application_is_documented() -> None:
    text = (REPOSITORY / "docs" / "settings.md").read_text()
    for section, field in Settings.model_fields.items():
        for key in field.annotation.model_fields:  # type: ignore[union-attr]
            assert f"`{section}.{key}`" in text


def test_the_example_in_the_settings_page_can_be_read(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "settings.md").read_text()
    (tmp_path / "app.yaml").write_text(text.split("```yaml")[1].split("```")[0])
    rules = load_settings(tmp_path / "app.yaml", {}).selection.rules
    assert [rule.name for rule in rules] == ["soft", "lung"]


def test_every_key_of_a_selection_rule_and_every_criterion_is_documented() -> None:
    text = (REPOSITORY / "docs" / "settings.md").read_text()
    for key in (*SelectionRule.model_fields, *Criterion):
        assert f"`{key}`" in text


@pytest.mark.parametrize(("task", "modality"), [("total", "CT"), ("total_mr", "MR")])
def test_a_selection_rule_without_modalities_gets_the_modality_of_the_task(
    task: str, modality: str
) -> None:
    overrides = {"TOTALMAP_SEGMENTATION__TASK": task}
    (rule,) = load_settings(APP_YAML, overrides).selection.rules
    assert rule.modalities == (modality,)
    overrides["TOTALMAP_SELECTION__RULES"] = "[{modalities: [PT]}]"
    (rule,) = load_settings(APP_YAML, overrides).selection.rules
    assert rule.modalities == ("PT",)


def test_the_licence_number_is_never_shown() -> None:
    name = "TOTALMAP_SEGMENTATION__LICENCE_NUMBER"
    assert "aca_12345678901234" not in repr(load_settings(APP_YAML, {name: "aca_12345678901234"}))
    with pytest.raises(ConfigError, match="licence_number") as caught:
        load_settings(APP_YAML, {name: "123456789012345678"})  # YAML reads a number
    assert "123456789012345678" not in str(caught.value)


def test_a_structure_that_the_task_does_not_have_is_an_error_of_the_settings(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.yaml").write_text("results: {rtstruct_structures: [liver, livr]}")
    with pytest.raises(ConfigError, match=r"rtstruct_structures: .* has no structure 'livr'"):
        load_settings(tmp_path / "app.yaml", {})


def test_a_series_description_may_contain_only_task_and_variant(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("results: {series_description: 'ours {patient}'}")
    with pytest.raises(ConfigError, match="can be put in"):
        load_settings(tmp_path / "app.yaml", {})


def test_the_settings_fingerprint_changes_only_with_settings_that_decide_a_result() -> None:
    usual = Settings()
    assert usual.fingerprint() == Settings().fingerprint()
    for changed in (
        Settings(segmentation=SegmentationSection(task="body")),
        Settings(geometry=GeometrySection(max_gap_mm=11.0)),
        Settings(results=ResultsSection(series_description="ours")),
    ):
        assert changed.fingerprint() != usual.fingerprint()
    elsewhere = SegmentationSection(
        device=Device.CPU, cache_folder=Path("/elsewhere"), licence_number=SecretStr("1234")
    )
    assert Settings(segmentation=elsewhere).fingerprint() == usual.fingerprint()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "segmentation: {tsk: total}",
            "segmentation.tsk is not known, did you mean segmentation.task",
        ),
        ("segmentaton: {task: total}", "segmentaton is not known, did you mean segmentation?"),
        ("segmentation: {gaps: fill}", "did you mean geometry.gaps?"),
        ("variant: fast", "did you mean segmentation.variant?"),
        ("results: {series_numbers: {sge: 1}}", "did you mean results.series_numbers.seg?"),
        ("selection: {rules: [{kernel: [a]}]}", "did you mean selection.rules.0.kernels?"),
        ("quality: {colour: red}", "quality.colour is not known; section quality knows second_op"),
        ("segmentation: {variant: fasst}", "'fasst' is not one of full, fast, fastest, did you"),
        ("segmentation: {variant: Fast}", "did you mean fast"),
        ("segmentation: {variant: hunter2}", "segmentation.variant is not one of full, fast"),
        ("results: {kinds: [sge]}", "results.kinds.0 'sge' is not one of .* did you mean seg"),
        ("geometry: {max_gap_mm: -1}", r"should be greater than 0 \(value -1\)"),
        ("segmentation: total", "segmentation: it has to be a section with keys of task"),
        ("results: {seg_structures: [livr]}", "no structure 'livr', did you mean liver"),
    ],
)
def test_an_unknown_settings_key_or_value_is_reported_with_a_suggestion(
    text: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_settings(path, {})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("TOTALMAP_SEGMENTATION__VARIENT", "did you mean segmentation.variant?"),
        ("TOTALMAP_SEGMENTATON__VARIANT", "did you mean TOTALMAP_SEGMENTATION__VARIANT?"),
        ("TOTALMAP_VARIANT", "did you mean TOTALMAP_SEGMENTATION__VARIANT?"),
        ("TOTALMAP_NONSENSE", "expected TOTALMAP_SECTION__KEY with a section of application"),
    ],
)
def test_a_misspelt_environment_variable_is_reported_with_a_suggestion(
    name: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(APP_YAML, {name: "full"})


def test_the_device_name_gpu_of_totalsegmentator_is_accepted() -> None:
    settings = load_settings(APP_YAML, {"TOTALMAP_SEGMENTATION__DEVICE": "gpu"})
    assert settings.segmentation.device is Device.CUDA


def test_settings_overrides_replace_the_environment_and_give_the_fingerprint_of_a_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "app.yaml"
    path.write_text("segmentation: {task: total, variant: full}\n")
    environment = {"TOTALMAP_SEGMENTATION__VARIANT": "fastest"}
    overrides = {"segmentation": {"variant": "fast", "structures": ["liver"]}}
    overridden = load_settings(path, environment, overrides)
    path.write_text("segmentation: {task: total, variant: fast, structures: [liver]}\n")
    assert overridden == load_settings(path, {})
    assert overridden.fingerprint() == load_settings(path, {}).fingerprint()

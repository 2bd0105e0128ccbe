from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from tests.conftest import REPOSITORY

runner = CliRunner()
DEPLOY = REPOSITORY / "deploy"


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    done = runner.invoke(app, ["deploy", "render", str(tmp_path / "site"), "--target", "argo"])
    assert done.exit_code == 0, done.output
    return tmp_path / "site"


def test_deploy_render_prints_the_written_files_and_the_next_page(tmp_path: Path) -> None:
    done = runner.invoke(app, ["deploy", "render", str(tmp_path), "--target", "docker"])
    assert done.exit_code == 0, done.output
    for path in tmp_path.iterdir():
        assert f"written: {path}\n" in done.output
    assert "docs/monai-deploy.md" in done.output


def test_deploy_render_writes_the_options_of_the_site(tmp_path: Path) -> None:
    arguments = ["--ae-title", "SEGMENT", "--pacs", "PACS1", "--origin", "CT1", "--origin", "CT2"]
    done = runner.invoke(app, ["deploy", "render", str(tmp_path), "--target", "docker", *arguments])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "totalmap.json").read_text()
    for word in ("SEGMENT", "PACS1", "CT1", "CT2"):
        assert f'"{word}"' in text


def test_deploy_render_replaces_files_only_with_force(rendered: Path) -> None:
    arguments = ["deploy", "render", str(rendered), "--target", "argo", "--ae-title", "OTHER"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 64
    assert done.stderr.startswith("Error: ")
    assert "--force" in done.stderr
    assert runner.invoke(app, [*arguments, "--force"]).exit_code == 0
    assert '"OTHER"' in (rendered / "totalmap.json").read_text()


def test_deploy_render_refuses_values_that_the_workflow_manager_refuses(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    arguments = ["deploy", "render", str(folder), "--target", "docker", "--ae-title", "A" * 16]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 64
    assert "at most 15" in done.stderr
    assert not folder.exists()


def test_deploy_render_writes_a_clinical_review(tmp_path: Path) -> None:
    options = ["--clinical-review", "clinical", "--reviewer-role", "radiologist"]
    arguments = ["deploy", "render", str(tmp_path), "--target", "argo", "--review-hours", "12"]
    done = runner.invoke(app, [*arguments, *options])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "totalmap.json").read_text()
    assert '"mode": "Clinical"' in text
    assert '"reviewer_roles": "radiologist"' in text
    assert '"timeout_minutes": 720' in text


@pytest.mark.parametrize("option", [["--reviewer-role", "radiologist"], ["--review-hours", "12"]])
def test_deploy_render_refuses_options_of_a_review_without_a_review(
    tmp_path: Path, option: list[str]
) -> None:
    folder = tmp_path / "site"
    arguments = ["deploy", "render", str(folder), "--target", "argo", *option]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 64
    assert "need --clinical-review" in done.stderr
    assert not folder.exists()


def test_deploy_check_accepts_rendered_files(rendered: Path) -> None:
    files = [str(rendered / "totalmap.json"), str(rendered / "totalmap-template.yaml")]
    done = runner.invoke(app, ["deploy", "check", *files])
    assert done.exit_code == 0, done.output
    assert f"{files[0]}: valid: clinical workflow\n" in done.output
    assert f"{files[1]}: valid: Argo WorkflowTemplate\n" in done.output


def test_deploy_check_names_files_that_it_skips(rendered: Path) -> None:
    files = sorted(str(path) for path in rendered.iterdir())
    done = runner.invoke(app, ["deploy", "check", *files])
    assert done.exit_code == 0, done.output
    assert f"{rendered / 'orthanc.yaml'}: not checked: Deployment\n" in done.output


def test_deploy_check_skips_a_compose_file(tmp_path: Path) -> None:
    arguments = ["deploy", "render", str(tmp_path), "--target", "docker"]
    assert runner.invoke(app, arguments).exit_code == 0
    files = [str(tmp_path / "compose.yaml"), str(tmp_path / "totalmap.json")]
    done = runner.invoke(app, ["deploy", "check", *files])
    assert done.exit_code == 0, done.output
    assert f"{files[0]}: not checked: compose file\n" in done.output


def test_deploy_check_names_file_line_rule_and_remedy(rendered: Path) -> None:
    workflow = rendered / "totalmap.json"
    workflow.write_text(workflow.read_text().replace('"priority"', '"priority_class"'))
    line = next(
        number
        for number, text in enumerate(workflow.read_text().splitlines(), start=1)
        if "priority_class" in text
    )
    done = runner.invoke(app, ["deploy", "check", str(workflow)])
    assert done.exit_code == 64
    assert done.output.splitlines() == [
        f"{workflow}:{line}: [argument] an argo task has no argument 'priority_class'. "
        "Remedy: write 'priority'.",
        "faults: 1",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "can't be read"), ("", "neither a clinical workflow"), ("a: \xff", "not UTF-8")],
)
def test_deploy_check_refuses_a_file_without_a_document(
    tmp_path: Path, content: str | None, message: str
) -> None:
    file = tmp_path / "workflow.yaml"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    done = runner.invoke(app, ["deploy", "check", str(file)])
    assert done.exit_code == 64
    assert message in done.stderr
    assert str(file) in done.stderr

"""The real `monai-deploy package` and `monai-deploy run`, on a stand-in of NVIDIA's base image."""

import json
import subprocess
import sys
from pathlib import Path

import pydicom

from tests.acceptance.docker_engine import BUILD_SECONDS, DockerEngine, output_folder
from tests.conftest import DEMO_MODELS
from tests.results import result_in
from totalmap import __version__

MONAI_DEPLOY = Path(sys.executable).with_name("monai-deploy")


def monai_deploy_run(
    engine: DockerEngine, image: str, source: Path, output: Path
) -> subprocess.CompletedProcess[str]:
    command = [str(MONAI_DEPLOY), "run", image, "-i", str(source), "-o", str(output)]
    user = ["--uid", "1000", "--gid", "1000", "--gpus", "none"]
    return subprocess.run(
        [*command, *user],
        env=engine.environment,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )


def test_the_packaged_image_segments_a_study(
    engine: DockerEngine, packaged_image: str, real_ct: Path, tmp_path: Path
) -> None:
    output = output_folder(tmp_path / "output")
    done = monai_deploy_run(engine, packaged_image, real_ct, output)
    assert done.returncode == 0, done.stdout + done.stderr
    status = json.loads((output / "status.json").read_text())
    assert status["outcome"] == "succeeded"
    for name, modality in (("seg", "SEG"), ("sr", "SR"), ("rtstruct", "RTSTRUCT")):
        assert pydicom.dcmread(result_in(output, f"{name}.dcm")).Modality == modality


def test_the_packaged_image_reports_a_failure(
    engine: DockerEngine, packaged_image: str, tmp_path: Path
) -> None:
    """The packager's own entry point would end with status 0."""
    study = tmp_path / "study"
    study.mkdir()
    study.chmod(0o755)
    output = output_folder(tmp_path / "output")
    done = monai_deploy_run(engine, packaged_image, study, output)
    assert done.returncode != 0
    assert "code 65" in done.stdout + done.stderr
    assert json.loads((output / "status.json").read_text())["outcome"] == "failed"
    assert not (output / "results").exists()


def test_the_packaged_image_has_the_layout_of_the_map_specification(
    engine: DockerEngine, packaged_image: str
) -> None:
    labels = json.loads(
        engine.docker("image", "inspect", "--format={{json .Config.Labels}}", packaged_image)
    )
    assert labels["org.opencontainers.image.title"] == "TotalMAP"
    assert labels["org.opencontainers.image.version"] == __version__
    assert {"base", "tag", "org.nvidia.holoscan", "org.monai.deploy.app-sdk"} <= labels.keys()
    package = json.loads(engine.docker("run", "--rm", packaged_image, "show", "pkg"))
    assert package["models"] == {"demo": f"/opt/holoscan/models/{DEMO_MODELS.name}"}
    listed = engine.docker(
        "run", "--rm", "--entrypoint=ls", packaged_image, "/opt/holoscan/app", "/opt/holoscan/docs"
    ).split()
    assert {"app", "operators", "totalmap", "LICENSE", "README.md"} <= set(listed)
    assert not {"tests", ".git", ".venv", "build"} & set(listed)

"""The image of our own Dockerfile fulfils the specification of MAPs, and runs hardened."""

import json
import signal
import subprocess
import uuid
from pathlib import Path

import pydicom
import pytest

from tests.acceptance.docker_engine import (
    HARDENED,
    Container,
    DockerEngine,
    mounts,
    output_folder,
)
from tests.conftest import DEMO_MODELS
from tests.disk import small_disk
from tests.results import result_in
from totalmap import __version__

MAX_BYTES = 2.5e9
RESULTS = {"seg.dcm", "sr.dcm", "rtstruct.dcm"}


@pytest.fixture(scope="module")
def done(
    engine: DockerEngine, own_image: str, real_ct: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Container, Path]:
    """A run on the real CT of 20 slices, and its output folder."""
    output = output_folder(tmp_path_factory.mktemp("done") / "output")
    return engine.run(own_image, real_ct, output), output


def status_of(output: Path) -> dict[str, object]:
    status: dict[str, object] = json.loads((output / "status.json").read_text())
    return status


def test_a_hardened_container_segments_a_study(done: tuple[Container, Path]) -> None:
    container, output = done
    assert container.exit_status == 0, container.output
    assert all(result_in(output, name).is_file() for name in RESULTS)
    assert status_of(output)["outcome"] == "succeeded"
    seg = pydicom.dcmread(result_in(output, "seg.dcm"))
    assert seg.Modality == "SEG"
    assert seg.NumberOfFrames > 0


def test_the_image_runs_as_an_unknown_user(
    engine: DockerEngine,
    own_image: str,
    real_ct: Path,
    done: tuple[Container, Path],
    tmp_path: Path,
) -> None:
    """The results are the same, byte for byte."""
    output = output_folder(tmp_path / "output")
    container = engine.run(own_image, real_ct, output, (*HARDENED, "--user=4321:4321"))
    assert container.exit_status == 0, container.output
    assert (output / "status.json").stat().st_uid == 4321
    for name in RESULTS:
        first = result_in(done[1], name)
        assert result_in(output, name).read_bytes() == first.read_bytes()


def test_the_container_ends_with_the_exit_status_of_the_application(
    engine: DockerEngine, own_image: str, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    study.mkdir()
    (study / "notes.txt").write_text("no DICOM")
    output = output_folder(tmp_path / "output")
    container = engine.run(own_image, study, output)
    assert container.exit_status == 65
    assert status_of(output)["outcome"] == "failed"
    assert not (output / "results").exists()


def test_mounted_weights_replace_those_of_the_image(
    engine: DockerEngine, own_image: str, real_ct: Path, tmp_path: Path
) -> None:
    """An empty folder is mounted, so no weights are found."""
    empty = tmp_path / "models"
    empty.mkdir()
    output = output_folder(tmp_path / "output")
    mount = f"--volume={empty}:/opt/holoscan/models:ro"
    assert engine.run(own_image, real_ct, output, (*HARDENED, mount)).exit_status == 66


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_container_leaves_no_result(
    engine: DockerEngine,
    own_image: str,
    phantom_copy: Path,
    tmp_path: Path,
    kill: signal.Signals,
) -> None:
    phantom_copy.chmod(0o755)  # the user of the container is another one
    output = output_folder(tmp_path / "output")
    name = f"totalmap-test-{uuid.uuid4()}"
    options = ["--rm", *HARDENED, f"--name={name}", *mounts(phantom_copy, output)]
    process = subprocess.Popen(
        ["docker", "run", *options, own_image],
        env=engine.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any("model_verified" in line for line in process.stderr)
    engine.docker("kill", f"--signal={kill.name}", name)
    process.stderr.read()
    exit_status = process.wait()
    assert not (output / "results").exists()
    if kill is signal.SIGTERM:
        assert exit_status == 75
        assert {path.name for path in output.iterdir()} == {"status.json", "metadata.json"}
        assert "SIGTERM" in json.dumps(status_of(output)["error"])
    else:
        assert exit_status == 128 + signal.SIGKILL
        assert not list(output.rglob("*.dcm"))


def test_a_container_reports_a_full_disk(
    engine: DockerEngine, own_image: str, real_ct: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        output = output_folder(disk / "output")
        container = engine.run(own_image, real_ct, output)
        assert container.exit_status == 75, container.output
        assert not (output / "results").exists()


def test_the_image_lists_its_packages_and_their_licences(
    engine: DockerEngine, own_image: str
) -> None:
    notice = engine.docker(
        "run", "--rm", "--entrypoint=cat", own_image, "/opt/holoscan/docs/NOTICE"
    )
    assert "highdicom 0.28.2: MIT" in notice
    assert "nvidia-cuda-runtime" in notice
    assert "vtk" not in notice


def test_the_image_runs_both_engines_and_every_arithmetic(
    engine: DockerEngine, own_image: str, real_ct: Path, tmp_path: Path
) -> None:
    """No package that inference needs is in install/unused.txt."""
    variable = "--env=TOTALMAP_SEGMENTATION__ARITHMETIC=compiled"
    output = output_folder(tmp_path / "compiled")
    container = engine.run(own_image, real_ct, output, (*HARDENED, variable))
    assert container.exit_status == 0, container.output
    imports = (
        "import operators, totalsegmentator.python_api, totalsegmentator.nnunet, highdicom, "
        "nnunetv2.inference.predict_from_raw_data, imagecodecs, monai, monai.deploy.core"
    )
    engine.docker(
        "run",
        "--rm",
        *HARDENED,
        "--workdir=/opt/holoscan/app",
        "--entrypoint=python3",
        own_image,
        "-c",
        imports,
    )


def test_the_image_has_the_manifests_and_labels_of_a_map(
    engine: DockerEngine, own_image: str
) -> None:
    shown = engine.docker("run", "--rm", own_image, "show", "app")
    manifest = json.loads(shown)
    assert manifest["version"] == __version__
    assert json.loads(manifest["command"]) == ["python3", "/opt/holoscan/app"]
    package = json.loads(engine.docker("run", "--rm", own_image, "show", "pkg"))
    assert package["models"] == {"demo": "/opt/holoscan/models/demo"}
    assert package["resources"]["memory"] == "8Gi"
    labels = json.loads(
        engine.docker("image", "inspect", "--format={{json .Config.Labels}}", own_image)
    )
    assert labels["org.opencontainers.image.title"] == "TotalMAP"
    assert labels["org.opencontainers.image.version"] == __version__
    environment = engine.docker("run", "--rm", own_image, "env").splitlines()
    for name in ("INPUT_PATH", "OUTPUT_PATH", "MODEL_PATH", "WORKDIR", "CONFIG_PATH", "DOCS"):
        assert any(line.startswith(f"HOLOSCAN_{name}=") for line in environment), name


def test_the_image_extracts_application_settings_models_and_documents(
    engine: DockerEngine, own_image: str, tmp_path: Path
) -> None:
    output = output_folder(tmp_path / "export")
    engine.docker(
        "run", "--rm", f"--volume={output}:/var/run/holoscan/export", own_image, "extract"
    )
    assert (output / "config" / "app.yaml").is_file()
    assert (output / "config" / "pkg.json").is_file()
    assert (output / "docs" / "LICENSE").is_file()
    assert (output / "app" / "totalmap" / "errors.py").is_file()
    model = next(DEMO_MODELS.rglob("checkpoint_final.pth"))
    copied = output / "models" / "demo" / model.relative_to(DEMO_MODELS)
    assert copied.read_bytes() == model.read_bytes()


def test_the_image_is_no_larger_than_documented(engine: DockerEngine, own_image: str) -> None:
    size = int(engine.docker("image", "inspect", "--format={{.Size}}", own_image))
    assert size <= MAX_BYTES

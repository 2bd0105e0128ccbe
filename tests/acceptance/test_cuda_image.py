"""The image of our own Dockerfile for CUDA."""

import json
from pathlib import Path

from tests.acceptance.conftest import make_image
from tests.acceptance.docker_engine import DockerEngine, output_folder


def test_the_cuda_variant_of_the_image_runs_on_a_cpu(
    engine: DockerEngine, offline: tuple[str, ...], real_ct: Path, tmp_path: Path
) -> None:
    """With PyTorch for the CPU: the one for CUDA is a download of 2.7 GB."""
    image = make_image(engine, "image", (*offline, "--torch", "cpu"), "cuda")
    package = json.loads(engine.docker("run", "--rm", image, "show", "pkg"))
    assert package["platformConfig"] == "dgpu"
    container = engine.run(image, real_ct, output_folder(tmp_path / "output"))
    assert container.exit_status == 0, container.output

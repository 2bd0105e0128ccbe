"""`python -m image build|package`: makes an image of the MAP with Docker."""

import argparse
import sys
from pathlib import Path

from image.build import BuildError, build_image, package_image
from image.build_context import StageError

REPOSITORY = Path(__file__).resolve().parent.parent
STAGE = REPOSITORY / "build" / "stage"


def main() -> int:
    """Makes the image and prints its name."""
    parser = argparse.ArgumentParser(prog="python -m image", description=__doc__)
    parser.add_argument(
        "way",
        choices=("build", "package"),
        help="with our own Dockerfile, or with `monai-deploy package`",
    )
    parser.add_argument("--tag", default="totalmap", help="name of the image, without a version")
    parser.add_argument("--variant", choices=("cpu", "cuda"), default="cpu", help="for build")
    parser.add_argument("--models", type=Path, help="weights to bake in; else they are mounted")
    parser.add_argument("--base-image", help="another base than Debian's or NVIDIA's")
    parser.add_argument("--build-image", help="for build: where packages are installed")
    parser.add_argument("--network", help="for build: network of the steps, as of docker build")
    parser.add_argument("--torch", choices=("cpu", "cuda"), help="for build: if not as the variant")
    parser.add_argument("--torch-index", help="for build: where PyTorch for the CPU lies")
    given = parser.parse_args()
    try:
        if given.way == "build":
            image = build_image(
                REPOSITORY,
                STAGE,
                tag=given.tag,
                variant=given.variant,
                models=given.models,
                base_image=given.base_image,
                build_image=given.build_image,
                network=given.network,
                torch=given.torch,
                torch_index=given.torch_index,
            )
        else:
            image = package_image(
                REPOSITORY, STAGE, tag=given.tag, models=given.models, base_image=given.base_image
            )
    except (BuildError, StageError) as error:
        sys.stderr.write(f"image: {error}\n")
        return 1
    sys.stdout.write(f"{image}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m image build|package`: builds the image of the MAP with Docker."""

import argparse
import sys
from pathlib import Path

from image.build import BuildError, build_image, package_image
from image.build_context import BuildContextError

REPOSITORY = Path(__file__).resolve().parent.parent
CONTEXT = REPOSITORY / "build" / "stage"


def main() -> int:
    """Builds the image and prints its name."""
    parser = argparse.ArgumentParser(prog="python -m image", description=__doc__)
    parser.add_argument(
        "way",
        choices=("build", "package"),
        help="with our own Dockerfile, or with `monai-deploy package`",
    )
    parser.add_argument("--tag", default="totalmap", help="name of the image, without a version")
    parser.add_argument("--variant", choices=("cpu", "cuda"), default="cpu", help="for build")
    parser.add_argument(
        "--models",
        type=Path,
        help="weights for the image; default: none",
    )
    parser.add_argument("--base-image", help="base image; default: Debian's or NVIDIA's")
    parser.add_argument("--build-image", help="for build: image that installs the packages")
    parser.add_argument("--network", help="for build: network, as in `docker build --network`")
    parser.add_argument(
        "--torch",
        choices=("cpu", "cuda"),
        help="for build: default: as the variant",
    )
    parser.add_argument("--torch-index", help="for build: index with PyTorch for the CPU")
    given = parser.parse_args()
    try:
        if given.way == "build":
            image = build_image(
                REPOSITORY,
                CONTEXT,
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
                REPOSITORY, CONTEXT, tag=given.tag, models=given.models, base_image=given.base_image
            )
    except (BuildError, BuildContextError) as error:
        sys.stderr.write(f"image: {error}\n")
        return 1
    sys.stdout.write(f"{image}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Which images may be named: those that are the same tomorrow."""

from collections.abc import Iterator

from deploy.validate.file_fault import Finding
from deploy.validate.yaml_positions import Text


def image_findings(image: Text) -> Iterator[Finding]:
    """An image without a tag, or with one that moves.

    The Docker engine pulls every tag of an image that is named without one.
    """
    name, _, digest = image.value.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest or (tag and tag != "latest"):
        return
    yield Finding(
        image.place,
        "image",
        f"image {image.value!r} has {'the tag latest' if tag else 'no tag'}: nobody can say which "
        "version made a result",
        "name the version, for example totalmap:0.2.0",
    )

"""Validates the name of a container image: it has to name the same image every time."""

from collections.abc import Iterator

from deploy.validate.file_fault import FileFault
from deploy.validate.yaml_positions import LocatedText


def image_tag_faults(image: LocatedText) -> Iterator[FileFault]:
    """Yields a fault if an image has no tag, or the tag `latest`, which changes.

    The Docker engine pulls all tags of an image that is named without a tag.
    """
    name, _, digest = image.value.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest or (tag and tag != "latest"):
        return
    yield FileFault(
        image.place,
        "image",
        f"image {image.value!r} has {'the tag latest' if tag else 'no tag'}: it does not say which "
        "version made a result",
        "name the version, for example totalmap:0.2.0",
    )

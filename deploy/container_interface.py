"""Names the variables, folders and entry point of a container of our image."""

IMAGE_NAME = "totalmap"  # without registry and tag
INPUT_VARIABLE, INPUT_FOLDER = "HOLOSCAN_INPUT_PATH", "/var/holoscan/input"
OUTPUT_VARIABLE, OUTPUT_FOLDER = "HOLOSCAN_OUTPUT_PATH", "/var/holoscan/output"
MODELS_VARIABLE, MODELS_FOLDER = "HOLOSCAN_MODEL_PATH", "/opt/holoscan/models"
ENTRY_POINT = "/var/holoscan/tools"


def is_totalmap_image(image: str) -> bool:
    """Returns whether an image reference names our image, in any registry."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0] == IMAGE_NAME

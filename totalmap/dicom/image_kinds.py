"""Names kinds of images that are not original slices, by Image Type, Rescale Type and colour."""

from totalmap.dicom.slices import Slice
from totalmap.selection_settings import IMAGE_TYPES_EXCLUDED

# Rescale Types (PS3.3 C.11.1.1.2) of maps from dual-energy CT.
NOT_HU = {
    "OD": "optical density",
    "MGML": "mg/mL",
    "Z_EFF": "effective atomic numbers",
    "ED": "electron density",
    "EDW": "electron density",
    "PCT": "percent",
}

IMAGE_TYPE_WORDS = {
    "LOCALIZER": "a localizer (scout view)",
    "MIP": "a maximum intensity projection",
    "MAX_IP": "a maximum intensity projection",
    "MINIP": "a minimum intensity projection",
    "MIN_IP": "a minimum intensity projection",
    "PROJECTION IMAGE": "a projection",
    "MPR": "a reformat of another series",
    "SECONDARY": "computed from another series",
    "SCREEN SAVE": "a screenshot",
}


def kind_of(item: Slice) -> str:
    """Returns the kind of an image, such as LOCALIZER, MIP, MGML or colour; empty for a slice."""
    words = {word for word in item.frame.image_type if word in IMAGE_TYPES_EXCLUDED}
    if item.frame.unit in NOT_HU:
        words.add(item.frame.unit)
    if item.instance.pixels.samples > 1:
        words.add("colour")
    return "/".join(sorted(words))

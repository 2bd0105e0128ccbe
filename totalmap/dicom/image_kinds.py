"""Names images that are no slices as scanned, by Image Type, Rescale Type and colour."""

from totalmap.dicom.slices import Slice
from totalmap.selection_settings import IMAGE_TYPES_EXCLUDED

# Rescale Type (PS3.3 C.11.1.1.2) of maps that dual-energy CT computes.
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
    """Returns what an image is if it is no slice as scanned: LOCALIZER, MIP, MGML, colour."""
    words = {word for word in item.frame.image_type if word in IMAGE_TYPES_EXCLUDED}
    if item.frame.unit in NOT_HU:
        words.add(item.frame.unit)
    if item.instance.pixels.samples > 1:
        words.add("colour")
    return "/".join(sorted(words))

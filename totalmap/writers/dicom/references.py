"""References to instances (PS3.3 10.8, SOP Instance Reference Macro)."""

from pydicom.dataset import Dataset

from totalmap.dicom.volume import Volume


def reference(instance_uid: str, class_uid: str) -> Dataset:
    """Returns the item that refers to an instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = class_uid
    item.ReferencedSOPInstanceUID = instance_uid
    return item


def references_to(volume: Volume) -> list[Dataset]:
    """Returns an item for each file of a volume, in the order of its slices."""
    classes = {one.instance.sop_instance_uid: one.instance.sop_class_uid for one in volume.slices}
    return [reference(uid, of) for uid, of in classes.items()]

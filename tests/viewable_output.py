"""Writes what the application leaves of a series that the viewer can show."""

from pathlib import Path

from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.seg.binary import write_seg


def write_viewable_output(segmentation: Segmentation, folder: Path) -> Path:
    """Writes the SEG of a segmentation, and a status.json in small; returns the folder."""
    with open_release(folder) as release:
        write_seg(segmentation, Settings(), release)
        release.publish(
            {
                "series": [
                    {"series_instance_uid": segmentation.volume.series_instance_uid, "chosen": True}
                ],
                "structures": [
                    {
                        "folder": "",
                        "name": found.structure.name,
                        "volume_ml": found.volume_ml,
                        "flags": list(found.limitations),
                    }
                    for found in segmentation.found()
                ],
            }
        )
    return folder

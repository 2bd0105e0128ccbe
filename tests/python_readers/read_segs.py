"""Reads SEGs with pydicom-seg; it runs in an environment of its own.

Usage: read_segs.py FOLDER SEG... writes FOLDER/0.npz for the first SEG, and so on.
"""

import sys
from pathlib import Path

import numpy as np
import pydicom
import pydicom_seg


def main() -> None:
    """Writes labels, geometry and segments of each SEG, or why it was refused."""
    folder = Path(sys.argv[1])
    for number, path in enumerate(sys.argv[2:]):
        seg = pydicom.dcmread(path)
        file = folder / f"{number}.npz"
        try:
            read = pydicom_seg.MultiClassReader().read(seg)
        except ValueError as error:
            np.savez(file, refused=str(error))
            continue
        single = pydicom_seg.SegmentReader().read(seg)
        segments = sorted(read.segment_infos.items())
        image = read.image
        np.savez(
            file,
            labels=read.data,
            alone=[np.count_nonzero(single.segment_data(n)) for n, _ in segments],
            origin_mm=image.GetOrigin(),
            spacing_mm=image.GetSpacing(),
            direction=np.reshape(image.GetDirection(), (3, 3)),
            numbers=[n for n, _ in segments],
            names=[info.SegmentLabel for _, info in segments],
            cielab=[info.RecommendedDisplayCIELabValue for _, info in segments],
            series=read.referenced_series_uid,
            instances=read.referenced_instance_uids,
        )


if __name__ == "__main__":
    main()

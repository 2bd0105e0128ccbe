"""Holds the sizes of TotalSegmentator's networks; their plans are public for 3 mm only."""

from totalmap.settings import Variant

# In voxels (k, j, i); the size for 1.5 mm (full) is a guess.
PATCH_SIZES = {Variant.FAST: (112, 112, 128), Variant.FULL: (128, 128, 128)}
REAL_FEATURES = 32  # of the first stage
NARROW_FEATURES = 8
WIDEST = 10  # times the features of the first stage

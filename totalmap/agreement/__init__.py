"""Compares two segmentations of the same images, ours or of other tools, structure by structure."""

# The tolerance of NSD in the paper about TotalSegmentator (Radiol Artif Intell 2023;5(5):e230024).
DEFAULT_TOLERANCE_MM = 3.0

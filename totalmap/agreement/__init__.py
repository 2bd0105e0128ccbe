"""Compares two segmentations of the same images, ours or of other tools, structure by structure."""

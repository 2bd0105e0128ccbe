"""Writes DICOM Segmentations and compares them with the labels."""

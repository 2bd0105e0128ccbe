"""TotalMAP: TotalSegmentator in a hospital's daily work, with DICOM in and DICOM out."""

__version__ = "0.2.0"

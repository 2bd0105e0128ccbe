"""Writes the DICOM Structured Report of measurements and compares it with them."""

"""Writes and reads the parts of DICOM objects that several writers share."""

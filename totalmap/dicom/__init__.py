"""Reads DICOM: studies, the selection of a series, its voxels and their geometry; derives UIDs."""

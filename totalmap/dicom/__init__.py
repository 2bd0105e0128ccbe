"""DICOM in: studies, selection of a series, its voxels and their geometry; UIDs of results."""

"""The audit trail: events as DICOM audit messages (PS3.15 A.5)."""

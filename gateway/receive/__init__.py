"""The receiving process: receives studies by DICOM, STOW-RS, watched folders and Orthanc."""

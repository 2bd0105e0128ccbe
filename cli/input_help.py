"""What the help of several commands says about inputs."""

INPUT_HELP = "A DICOM folder, a ZIP archive of one, a DICOM file, or a NIfTI file."
STUDY_HELP = "Number (see inspect) or Study Instance UID, where the input holds several studies."

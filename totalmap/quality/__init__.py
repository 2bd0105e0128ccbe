"""Whether a result is to be believed: what is found about the study and its labels."""

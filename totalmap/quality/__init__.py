"""Whether a result is to be believed: findings about the study and its labels, and the verdict."""

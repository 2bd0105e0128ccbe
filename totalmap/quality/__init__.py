"""Assesses results: the suitability of the images and the plausibility of the labels."""

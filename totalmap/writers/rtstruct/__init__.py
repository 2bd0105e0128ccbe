"""Writes the RT Structure Set and compares its contours with the labels."""

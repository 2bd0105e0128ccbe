"""Writes the overlay: one colour image for each slice of the source, for viewers without SEG."""

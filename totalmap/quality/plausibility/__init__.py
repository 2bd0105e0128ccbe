"""Rules that judge whether labels can be those of a body."""

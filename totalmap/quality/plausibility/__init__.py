"""Assesses whether labels can be those of a body."""

"""Assesses whether a series is what the networks were trained for."""

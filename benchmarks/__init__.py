"""Measures the figures of README and docs."""

"""Measures labels: counts, volumes, values and positions; and the field of view."""

"""Measures labels: counts, volumes, values, places, and the field of view."""

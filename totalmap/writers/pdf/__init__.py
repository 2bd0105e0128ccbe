"""Writes the report as an Encapsulated PDF, for archives and viewers that show no HTML."""

"""Reads corrections of results by people, and writes the corrected results."""

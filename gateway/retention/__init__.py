"""Deletes files and histories of studies by the rules of the `retention` section."""

"""The receiving process: all ways in."""

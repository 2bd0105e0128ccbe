"""Writes the results: one module or package for each kind; `release` publishes all or none."""

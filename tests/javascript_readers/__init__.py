"""Readers of others in JavaScript, run by node: dcmjs and the adapters of cornerstone.

OHIF and other viewers are built on them. read_results.mjs writes what they return into a file; the
tests compare it.
"""

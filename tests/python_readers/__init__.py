"""Readers of others that need older packages than ours, in a Python environment of their own.

pydicom-seg, dcmrtstruct2nii and dicompyler-core. The read_*.py run in that environment, and write
what the readers return into files; the tests compare them.
"""

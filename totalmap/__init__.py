"""The library of TotalMAP: reads CT studies, segments them, assesses and writes results."""

__version__ = "0.2.0"

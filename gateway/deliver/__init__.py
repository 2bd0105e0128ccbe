"""Delivers results to destinations, by C-STORE and STOW-RS."""

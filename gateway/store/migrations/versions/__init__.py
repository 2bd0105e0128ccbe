"""The steps, in order of their numbers; gateway/store/layout.py says which is the newest."""

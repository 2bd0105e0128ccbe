"""The steps, in order of their numbers; gateway/record/layout.py says which is the newest."""

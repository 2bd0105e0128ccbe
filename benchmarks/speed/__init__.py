"""Compares speed, memory and labels with the unmodified TotalSegmentator command."""

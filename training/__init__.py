"""Trains and evaluates the demonstration model on synthetic bodies."""

"""Holds the texts for people in every language, and the messages that are told in them."""

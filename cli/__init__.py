"""The command `totalmap`."""

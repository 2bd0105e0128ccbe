"""What the figures in README and docs are measured with."""

"""The `retention` section: what is deleted, and when."""

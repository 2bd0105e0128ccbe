"""The gateway's page for people, and /health and /metrics for other programs."""

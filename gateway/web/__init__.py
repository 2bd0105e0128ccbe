"""The page of the gateway for users, and /health and /metrics for other programs."""

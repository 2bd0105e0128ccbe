"""The worker process: runs one job after another."""

"""The working process: one job after another."""

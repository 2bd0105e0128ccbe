"""The working process: does one job after another."""

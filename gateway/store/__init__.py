"""Stores instances, jobs, deliveries and events in the database, and files on the disk."""

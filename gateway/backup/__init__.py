"""Saves and restores the data of the gateway, verifies files, and moves the ledger to Postgres."""

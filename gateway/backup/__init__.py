"""Saves and restores the data of the gateway, compares files, and moves the ledger to Postgres."""

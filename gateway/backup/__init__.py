"""Saves what the gateway has, restores it, compares it, and moves the ledger to Postgres."""

"""Migrations from each layout of the database to the next, and back, by alembic."""

"""The steps from each layout of the database to the next, and back: one file a step, by alembic."""

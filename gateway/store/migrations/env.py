"""Runs migrations on the connection that it is given: alembic loads this file."""

from alembic import context

from gateway.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite can't change a column: alembic makes a new table and copies the rows.
    render_as_batch=True,
)
# In the transaction of the caller.
context.run_migrations()

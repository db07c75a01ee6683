"""Run migrations on the connection that the program hands over; there is no other way to run them."""

from __future__ import annotations

from alembic import context

from eternal_engine.storage.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()

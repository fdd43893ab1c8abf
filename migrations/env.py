"""What Alembic's own commands work on: a scratch database with every revision run on it, never a store.

`alembic revision --autogenerate` and `alembic check` compare it with `chatstore.schema`. Stores are brought up to
date by `chatstore migrate`, which runs the same revisions without this file.
"""

from alembic import context
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from chatstore.migrate import run_revisions
from chatstore.schema import metadata


def run() -> None:
    """Runs the command's work on the scratch database."""
    with create_engine("sqlite://").connect() as conn:
        run_revisions(conn, behind=0)
        MigrationContext.configure(conn).stamp(context.script, "heads")
        context.configure(
            connection=conn,
            target_metadata=metadata,
            render_as_batch=True,
            process_revision_directives=number,
        )
        with context.begin_transaction():
            context.run_migrations()


def number(_context: MigrationContext, _heads: object, scripts: list[MigrationScript]) -> None:
    """Gives a new revision the number of the format that it makes."""
    newest = context.script.get_current_head() or "0"
    for script in scripts:
        script.rev_id = f"{int(newest) + 1:04}"


run()

"""
The tables, brought to the state that this package was built with.

Revisions lie in `versions` and are plain SQL. Alembic costs a second to import, so it stays unloaded
where the database is already there.
"""

import asyncio
import threading
from importlib import resources
from typing import Any

import psycopg

from github_banners.database.connect import mapping_driver_errors
from github_banners.database.server_info import HEAD, fetch_server_info
from github_banners.database.session import begin_settings, connection_arguments
from github_banners.errors import ConfigurationError

__all__ = ["HEAD", "migrate"]

_LOCK_KEY = 0x62616E6E657273  # "banners": any number that all our processes agree on
# Alembic keeps its context in globals of its modules.
_alembic_lock = threading.Lock()


async def migrate(conninfo: str, *, explain_login_errors: bool = True) -> None:
    """
    Bring a database to the newest revision; several processes may do so at once.

    A server that does not let us in is no mistake of ours once it has been away: it may not be ready.

    :raises DatabaseUnavailable: PostgreSQL can't be asked
    :raises ConfigurationError: the database can't be used; or the first attempt is refused, because of
        the user, the password or the name of the database
    """
    condition = await fetch_server_info(conninfo, explain_login_errors=explain_login_errors)
    if condition.problem is not None:
        raise ConfigurationError(condition.problem)
    if condition.needs_migration:
        with mapping_driver_errors():
            await asyncio.to_thread(_upgrade, conninfo, condition.schema)


def _upgrade(conninfo: str, schema: str) -> None:
    import sqlalchemy as sa  # noqa: PLC0415

    def connect() -> psycopg.Connection[Any]:
        arguments = connection_arguments(conninfo, application_name="github-banners-migrate")
        conn = psycopg.connect(conninfo, **arguments)
        conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        return conn

    engine = sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=sa.NullPool)
    try:
        with _alembic_lock, engine.begin() as connection:
            # Making an index of a large table takes its time.
            driver: Any = connection.connection.driver_connection
            driver.execute(begin_settings(schema, statement_timeout="0"))
            connection.execute(sa.text(f"select pg_advisory_xact_lock({_LOCK_KEY})"))
            _run_revisions(connection, schema)
    except sa.exc.DBAPIError as exc:
        raise (exc.orig or exc) from exc


def _run_revisions(connection: object, schema: str) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    with resources.as_file(resources.files(__name__)) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        config.attributes["schema"] = schema
        try:
            command.upgrade(config, "head")
        except CommandError as exc:
            raise ConfigurationError(
                "the database was changed by a newer version of github-banners: run that one"
            ) from exc

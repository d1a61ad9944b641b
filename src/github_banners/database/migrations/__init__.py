"""
Database migrations: create the tables, or upgrade them to the newest revision.

The revisions in `versions` are plain SQL. They only add what earlier versions of this program ignore,
and can be repeated. So `go_back` only records an earlier revision, and an earlier version runs again.
Importing Alembic takes a second, so it is imported only if the database needs a migration.
"""

import asyncio
import threading
from contextlib import suppress
from importlib import resources
from typing import Any

import psycopg

from github_banners.database.connect import begin_settings, mapping_driver_errors, transaction
from github_banners.database.server_info import HEAD, fetch_server_info
from github_banners.database.session import connect, connection_arguments
from github_banners.errors import ConfigurationError

__all__ = ["HEAD", "go_back", "migrate"]

FIRST = "0001"

_MAX_DEADLOCKS = 4
_DEADLOCK_PAUSE_SECONDS = 0.5
_LOCK_KEY = 0x62616E6E657273  # "banners" in ASCII
# Alembic keeps its context in module globals, so only one thread may use it.
_alembic_lock = threading.Lock()


async def migrate(conninfo: str, *, explain_login_errors: bool = True) -> None:
    """
    Upgrade a database to the newest revision; several processes may do so at the same time.

    Pass `explain_login_errors=False` if the server was down before: while it starts, a refused login
    need not be a configuration error.

    :raises DatabaseUnavailable: PostgreSQL is unavailable
    :raises ConfigurationError: the database can't be used; or, with `explain_login_errors`, user,
        password or database name are wrong
    """
    server_info = await fetch_server_info(conninfo, explain_login_errors=explain_login_errors)
    if server_info.problem is not None:
        raise ConfigurationError(server_info.problem)
    if not server_info.needs_migration:
        return
    with mapping_driver_errors():
        for _ in range(_MAX_DEADLOCKS):
            with suppress(psycopg.errors.DeadlockDetected):
                await asyncio.to_thread(_upgrade, conninfo, server_info.schema)
                return
            # A running service has locked the same tables in another order.
            await asyncio.sleep(_DEADLOCK_PAUSE_SECONDS)
        await asyncio.to_thread(_upgrade, conninfo, server_info.schema)


async def go_back(conninfo: str, revision: str) -> None:
    """
    Record an earlier revision, so that the version of this program that had it starts again.

    :raises DatabaseUnavailable: PostgreSQL is unavailable
    :raises ConfigurationError: the database can't be used, or is not at a later revision
    """
    server_info = await fetch_server_info(conninfo, explain_login_errors=True)
    if server_info.problem is not None:
        raise ConfigurationError(server_info.problem)
    current = server_info.revision
    if current is None or not FIRST <= revision <= current:
        raise ConfigurationError(
            f"{revision!r} is not an earlier revision of this database, which is at"
            f" {current or 'none'}: use {FIRST} to {HEAD}"
        )
    with mapping_driver_errors():
        connection = await connect(conninfo, application_name="github-banners-migrate")
        async with connection, transaction(connection, schema=server_info.schema):
            await connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK_KEY])
            await connection.execute("update alembic_version set version_num = %s", [revision])


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
            # No statement timeout: creating an index on a large table takes long.
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
                "the database was migrated by a newer version of github-banners: run that version"
            ) from exc

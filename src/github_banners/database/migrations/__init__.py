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

from github_banners.database.connect import unavailable
from github_banners.database.refusals import explain_refusal
from github_banners.errors import Misconfigured

HEAD = "0002"
"""The newest revision in `versions`."""

_LOCK_KEY = 0x62616E6E657273  # "banners": any number that all our processes agree on
_CONNECT_TIMEOUT_SECONDS = 3
# Alembic keeps its context in globals of its modules.
_one_at_a_time = threading.Lock()


async def migrate(conninfo: str, *, is_first_attempt: bool = True) -> None:
    """
    Bring a database to the newest revision; several processes may do so at once.

    A server that does not let us in is no mistake of ours once it has been away: it may not be ready.

    :raises DatabaseUnavailable: PostgreSQL can't be asked
    :raises Misconfigured: a newer version of this program has changed the database already; or the
        first attempt is refused, because of the user, the password or the name of the database
    """
    with unavailable():
        try:
            revision = await _current_revision(conninfo)
        except psycopg.OperationalError as exc:
            sentence = await explain_refusal(conninfo, exc) if is_first_attempt else None
            if sentence is not None:
                raise Misconfigured(sentence) from exc
            raise
        if revision != HEAD:
            await asyncio.to_thread(_upgrade, conninfo)


async def select_revision(conn: psycopg.AsyncConnection[Any]) -> str | None:
    """Read which revision a database is at; None where the tables were never made."""
    cursor = await conn.execute("select to_regclass('alembic_version') is not null")
    if await cursor.fetchone() != (True,):
        return None
    row = await (await conn.execute("select version_num from alembic_version")).fetchone()
    return row[0] if row else None


async def _current_revision(conninfo: str) -> str | None:
    async with await psycopg.AsyncConnection.connect(
        conninfo, connect_timeout=_CONNECT_TIMEOUT_SECONDS
    ) as conn:
        return await select_revision(conn)


def _upgrade(conninfo: str) -> None:
    import sqlalchemy as sa  # noqa: PLC0415

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(conninfo, connect_timeout=_CONNECT_TIMEOUT_SECONDS)

    engine = sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=sa.NullPool)
    try:
        with _one_at_a_time, engine.begin() as connection:
            connection.execute(sa.text(f"select pg_advisory_xact_lock({_LOCK_KEY})"))
            _run_revisions(connection)
    except sa.exc.DBAPIError as exc:
        raise (exc.orig or exc) from exc


def _run_revisions(connection: object) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    with resources.as_file(resources.files(__name__)) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as exc:
            raise Misconfigured(
                "the database was changed by a newer version of github-banners: run that one"
            ) from exc

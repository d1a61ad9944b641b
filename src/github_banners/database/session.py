"""
Connections and transactions with fixed settings, independent of role, pooler and environment.

libpq's environment variables are removed. Session settings are made by `set local` at the start of
each transaction, because a pooler in transaction mode rejects start-up options and may run each
transaction in another session. Values are converted here to what PostgreSQL can store.
"""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier

Connection: TypeAlias = AsyncConnection[TupleRow]

DEFAULT_SCHEMA = "public"
TABLES = ("alembic_version", "users", "logins", "repositories", "banners")
"""Tables that identify a schema as ours if it has all of them; `accounts` is not among them."""

CONNECT_TIMEOUT_SECONDS = 3

# https://www.postgresql.org/docs/current/libpq-envars.html without PGPORT, which is one of our
# settings, and without those for TLS and authentication, with which operators secure connections.
_IGNORED_VARIABLES = (
    *("PGHOST", "PGHOSTADDR", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGREQUIREPEER"),
    *("PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGOPTIONS", "PGAPPNAME", "PGCONNECT_TIMEOUT"),
    *("PGCLIENTENCODING", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS", "PGDATESTYLE", "PGTZ"),
    *("PGGEQO", "PGLOCALEDIR", "PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION", "PGREPLICATION"),
)
_IGNORED_ON_SOCKETS = ("PGREQUIREAUTH",)

_ARGUMENTS: dict[str, Any] = {
    # Makes psycopg decode text whatever the encoding of the server.
    "client_encoding": "UTF8",
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
    # Behind a pooler the next transaction may run in a session without our prepared statements.
    "prepare_threshold": None,
}
# Not used on Unix sockets, but libpq would reject unsuitable values from the environment.
_SOCKET_ARGUMENTS = {
    "sslmode": "disable",
    "gssencmode": "disable",
    "channel_binding": "prefer",
}

_SETTINGS = """
    set local search_path to {schema}, pg_temp;
    set local timezone to 'UTC';
    set local datestyle to 'ISO, MDY';
    set local intervalstyle to 'postgres';
    set local bytea_output to 'hex';
    set local standard_conforming_strings to on;
    set local lock_timeout to 0;
    set local statement_timeout to {statement_timeout};
    set local idle_in_transaction_session_timeout to '60s';
"""

_BEGIN = SQL("begin isolation level read committed;")

_FIND_SCHEMA = """
    select namespace.nspname
    from pg_catalog.pg_class as class
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    where class.relname = any(%(tables)s) and class.relkind in ('r', 'p')
        and namespace.nspname = any(pg_catalog.current_schemas(false) || %(default)s::name)
    group by namespace.nspname
    having count(*) = %(count)s
    order by pg_catalog.array_position(pg_catalog.current_schemas(false), namespace.nspname)
        nulls last
    limit 1
"""


def connection_arguments(conninfo: str, *, application_name: str) -> dict[str, Any]:
    """Return the keyword arguments for opening a connection, and remove libpq's variables."""
    host = str(conninfo_to_dict(conninfo).get("host") or "")
    is_socket = host.startswith(("/", "@"))
    for variable in (*_IGNORED_VARIABLES, *(_IGNORED_ON_SOCKETS if is_socket else ())):
        os.environ.pop(variable, None)
    return {
        **_ARGUMENTS,
        **(_SOCKET_ARGUMENTS if is_socket else {}),
        "application_name": application_name,
    }


async def connect(conninfo: str, *, application_name: str = "github-banners") -> Connection:
    """
    Open a connection without a transaction.

    :raises psycopg.OperationalError: the server is down or refuses the connection
    """
    arguments = connection_arguments(conninfo, application_name=application_name)
    return await AsyncConnection.connect(conninfo, autocommit=True, **arguments)


async def find_schema(conn: Connection) -> str | None:
    """Return the schema with our tables, of the search path or `public`; None if there is none."""
    parameters = {"tables": list(TABLES), "count": len(TABLES), "default": DEFAULT_SCHEMA}
    row = await (await conn.execute(_FIND_SCHEMA, parameters)).fetchone()
    return str(row[0]) if row else None


def begin_settings(schema: str, *, statement_timeout: str = "10s") -> Composed:
    """Return the settings at the start of every transaction, to be sent in one message."""
    return SQL(_SETTINGS).format(schema=Identifier(schema), statement_timeout=statement_timeout)


@asynccontextmanager
async def transaction(conn: Connection, *, schema: str) -> AsyncIterator[None]:
    """Run a transaction on an autocommit connection; roll back if the block raises."""
    try:
        await conn.execute(_BEGIN + begin_settings(schema))
        yield
    except BaseException:
        # Keep the original error if the connection is lost too.
        with suppress(psycopg.Error):
            await conn.rollback()
        raise
    await conn.commit()


def to_columns(rows: Iterable[tuple[Any, ...]], *, column_count: int) -> list[list[Any]]:
    """Transpose rows to the arrays that `unnest` takes; no rows give empty arrays."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(column_count)]


def strip_unstorable(text: str | None) -> str | None:
    """Remove NUL and replace lone surrogates, which PostgreSQL's text type can't hold."""
    if not text or text.isascii():
        return text.replace("\0", "") if text else text
    return text.replace("\0", "").encode("utf-8", "replace").decode()

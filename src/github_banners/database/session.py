"""
What holds in every connection and transaction, whatever a role, a pooler or a shell sets by default.

libpq's environment variables are dropped, and what is relied on is set by `set local` at the beginning of each
transaction: a pooler in transaction mode refuses start-up options, and gives each transaction another session.
"""

import os
from collections.abc import AsyncIterator
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
"""Tables that only together are taken for ours."""

CONNECT_TIMEOUT_SECONDS = 3

# https://www.postgresql.org/docs/current/libpq-envars.html without PGPORT, which is a setting of
# ours, and without those about TLS and authentication, by which an operator secures a connection.
_IGNORED_VARIABLES = (
    *("PGHOST", "PGHOSTADDR", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGREQUIREPEER"),
    *("PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGOPTIONS", "PGAPPNAME", "PGCONNECT_TIMEOUT"),
    *("PGCLIENTENCODING", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS", "PGDATESTYLE", "PGTZ"),
    *("PGGEQO", "PGLOCALEDIR", "PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION", "PGREPLICATION"),
)
_IGNORED_ON_SOCKETS = ("PGREQUIREAUTH",)

_ARGUMENTS: dict[str, Any] = {
    # Text arrives as text whatever the encoding of the server.
    "client_encoding": "UTF8",
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
    # The next transaction may get another session, which has not prepared anything.
    "prepare_threshold": None,
}
# Nothing of this applies to a socket of this machine, but an unfit value would be refused.
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
    """Return what a connection is opened with besides `conninfo`."""
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

    :raises psycopg.OperationalError: the server is down or refuses
    """
    arguments = connection_arguments(conninfo, application_name=application_name)
    return await AsyncConnection.connect(conninfo, autocommit=True, **arguments)


async def find_schema(conn: Connection) -> str | None:
    """Return the schema of our tables: of the role's search path or `public`; None for no tables."""
    parameters = {"tables": list(TABLES), "count": len(TABLES), "default": DEFAULT_SCHEMA}
    row = await (await conn.execute(_FIND_SCHEMA, parameters)).fetchone()
    return str(row[0]) if row else None


def begin_settings(schema: str, *, statement_timeout: str = "10s") -> Composed:
    """Return the statements that every transaction begins with; they are sent in one message."""
    return SQL(_SETTINGS).format(schema=Identifier(schema), statement_timeout=statement_timeout)


@asynccontextmanager
async def transaction(conn: Connection, *, schema: str) -> AsyncIterator[None]:
    """Commit what is done on an autocommit connection, or roll it back where that raises."""
    try:
        await conn.execute(_BEGIN + begin_settings(schema))
        yield
    except BaseException:
        # Why the work failed matters more than that the connection is gone as well.
        with suppress(psycopg.Error):
            await conn.rollback()
        raise
    await conn.commit()

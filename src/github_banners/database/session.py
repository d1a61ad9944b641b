"""
Connections with fixed settings, independent of role, pooler and environment.

libpq's environment variables are removed, on Unix sockets also those for TLS. Values are converted
here to what PostgreSQL can store.
"""

import os
from collections.abc import Iterable
from typing import Any, TypeAlias

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo
from psycopg.rows import TupleRow

Connection: TypeAlias = AsyncConnection[TupleRow]

DEFAULT_SCHEMA = "public"
TABLES = ("alembic_version", "users", "logins", "repositories", "banners")
"""Tables that identify a schema as ours if it has all of them; `accounts` and later ones do not count."""

CONNECT_TIMEOUT_SECONDS = 3

# https://www.postgresql.org/docs/current/libpq-envars.html without PGPORT, which is one of our
# settings, and without those for TLS and authentication, with which operators secure connections.
_IGNORED_VARIABLES = (
    *("PGHOST", "PGHOSTADDR", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGREQUIREPEER"),
    *("PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGOPTIONS", "PGAPPNAME", "PGCONNECT_TIMEOUT"),
    *("PGCLIENTENCODING", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS", "PGDATESTYLE", "PGTZ"),
    *("PGGEQO", "PGLOCALEDIR", "PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION", "PGREPLICATION"),
)

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
    hosts = str(conninfo_to_dict(conninfo).get("host") or "").split(",")
    ignored = set(_IGNORED_VARIABLES)
    if all(host.startswith(("/", "@")) for host in hosts):
        # TLS is not used on Unix sockets, but libpq rejects unsuitable values all the same, and those
        # that contradict each other. Ask libpq for the names: new versions have further ones.
        ignored |= {option.envvar.decode() for option in Conninfo.get_defaults() if option.envvar}
        ignored -= {"PGPORT"}
    for variable in ignored:
        os.environ.pop(variable, None)
    arguments = {**_ARGUMENTS, "application_name": application_name}
    if len(hosts) > 1:
        # Of several servers only one is the primary, and a failover changes which one.
        arguments["target_session_attrs"] = "read-write"
    return arguments


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


def to_columns(rows: Iterable[tuple[Any, ...]], *, column_count: int) -> list[list[Any]]:
    """Transpose rows to the arrays that `unnest` takes; no rows give empty arrays."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(column_count)]


def strip_unstorable(text: str | None) -> str | None:
    """Remove NUL and replace lone surrogates, which PostgreSQL's text type can't hold."""
    if not text or text.isascii():
        return text.replace("\0", "") if text else text
    return text.replace("\0", "").encode("utf-8", "replace").decode()

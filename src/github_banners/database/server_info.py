"""
Check whether a database can be used, for `serve`, `api`, `migrate` and `check`.

The checks are read-only, except for `try_writing`, which rolls back. A problem is one sentence that
tells the operator what to do.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg

from github_banners.database.connect import error_text, transaction
from github_banners.database.connect_errors import explain_login_error
from github_banners.database.session import DEFAULT_SCHEMA, TABLES, Connection, connect, find_schema
from github_banners.errors import ConfigurationError, DatabaseUnavailable
from github_banners.models import MAX_CLOCK_SKEW, to_epoch_microseconds

HEAD = "0007"
"""The newest migration revision."""

MIN_MAJOR_VERSION = 15
"""The oldest supported PostgreSQL version."""

_CHECK_NAME = "github-banners-check"

# Some columns of the first revision; a table of another program will lack one of them.
_REQUIRED_COLUMNS = {
    "users": {"id", "login", "version", "fetched_at", "due_at", "leased_until"},
    "logins": {"login", "owner_id", "held_since"},
    "repositories": {"owner_id", "id", "stars", "is_fork"},
    "banners": {"id", "owner_id", "name", "look", "look_digest", "published_version"},
}

_SELECT_SERVER = """
    select pg_catalog.current_database(), current_user,
        pg_catalog.current_setting('server_encoding'),
        pg_catalog.current_setting('server_version'),
        pg_catalog.current_setting('server_version_num')::int
"""

_SELECT_SCHEMA_FOR_NEW_TABLES = """
    select nspname,
        pg_catalog.has_schema_privilege(oid, 'usage')
            and pg_catalog.has_schema_privilege(oid, 'create') as is_usable
    from pg_catalog.pg_namespace
    where nspname = any(pg_catalog.current_schemas(false) || %(default)s::name)
        and nspname not in ('pg_catalog', 'information_schema')
    order by is_usable desc,
        pg_catalog.array_position(pg_catalog.current_schemas(false), nspname) nulls last
    limit 1
"""

_SELECT_TABLES = """
    select class.relname,
        array(
            select attname::text from pg_catalog.pg_attribute
            where attrelid = class.oid and attnum > 0 and not attisdropped
        ),
        pg_catalog.has_table_privilege(class.oid, 'select')
            and pg_catalog.has_schema_privilege(class.relnamespace, 'usage'),
        pg_catalog.has_table_privilege(class.oid, 'insert')
            and pg_catalog.has_table_privilege(class.oid, 'update')
            and pg_catalog.has_table_privilege(class.oid, 'delete'),
        pg_catalog.pg_has_role(class.relowner, 'usage')
    from pg_catalog.pg_class as class
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    where namespace.nspname = %(schema)s and class.relname = any(%(names)s)
        and class.relkind in ('r', 'p', 'v', 'm', 'f')
    order by class.relname
"""

# Part of PgBouncer's message.
_STATEMENT_MODE = "not allowed in statement pooling mode"

_COUNT_ROWS_AHEAD = """
    select
        (
            select count(*) from users
            where fetched_at > %(time)s or version > %(version)s or leased_until > %(time)s
        ) + (
            select count(*) from banners
            where version > %(version)s or published_version > %(version)s
                or last_requested_at > %(time)s
        )
"""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """
    A server's version, and schema and revision of our tables; the revision is None without tables.

    `problem` says why the database can't be used, and what to do.
    """

    version: str
    major: int
    schema: str = DEFAULT_SCHEMA
    revision: str | None = None
    problem: str | None = None

    @property
    def needs_migration(self) -> bool:
        """True if the tables must be created or upgraded."""
        return self.revision is None or self.revision < HEAD


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    columns: Sequence[str]
    is_readable: bool
    is_writable: bool
    is_alterable: bool


async def fetch_server_info(conninfo: str, *, explain_login_errors: bool = True) -> ServerInfo:
    """
    Connect to a server and check whether the database can be used.

    :raises DatabaseUnavailable: the server is down
    :raises ConfigurationError: a pooler allows no transactions; with `explain_login_errors` also if
        user, password or database name are wrong
    """
    try:
        conn = await connect(conninfo, application_name=_CHECK_NAME)
    except psycopg.OperationalError as exc:
        message = await explain_login_error(conninfo, exc) if explain_login_errors else None
        if message is not None:
            raise ConfigurationError(message) from exc
        raise DatabaseUnavailable(error_text(exc)) from exc
    try:
        async with conn:
            return await _fetch_server_info(conn)
    except psycopg.Error as exc:
        if _STATEMENT_MODE in str(exc):
            raise ConfigurationError(
                "the pooler in front of PostgreSQL allows no transactions: set its pool_mode to"
                " `transaction` or `session`, or set DB_HOST and PGPORT to the server itself"
            ) from exc
        raise DatabaseUnavailable(error_text(exc)) from exc


async def try_writing(conninfo: str, server_info: ServerInfo) -> None:
    """
    Insert a row as the service does, and roll back.

    :raises DatabaseUnavailable: rows can't be written: a read-only server, a full disk
    """
    query = """
        insert into users (
            id, login, total_repos, original_repos, forked_repos, total_stars, total_forks,
            languages, version, fetched_at
        )
        values (-1, 'check', 0, 0, 0, 0, 0, '{}', 1, now()) on conflict do nothing
    """
    async with check_transaction(conninfo, schema=server_info.schema) as conn:
        await conn.execute(query)
        await conn.rollback()


async def count_rows_ahead(conninfo: str, server_info: ServerInfo, *, now: datetime) -> int:
    """
    Count owners and banners with times in the future; each is repaired when it is saved.

    :raises DatabaseUnavailable: rows can't be read
    """
    time = now + MAX_CLOCK_SKEW
    parameters = {"time": time, "version": to_epoch_microseconds(time)}
    async with check_transaction(conninfo, schema=server_info.schema) as conn:
        row = await (await conn.execute(_COUNT_ROWS_AHEAD, parameters)).fetchone()
    return int(row[0]) if row else 0


@asynccontextmanager
async def check_transaction(conninfo: str, *, schema: str) -> AsyncIterator[Connection]:
    """
    Open a connection of `check` and a transaction on it.

    :raises DatabaseUnavailable: the server is down or refuses a statement
    """
    try:
        async with (
            await connect(conninfo, application_name=_CHECK_NAME) as conn,
            transaction(conn, schema=schema),
        ):
            yield conn
    except psycopg.Error as exc:
        raise DatabaseUnavailable(error_text(exc)) from exc


async def _fetch_server_info(conn: Connection) -> ServerInfo:
    row = await (await conn.execute(_SELECT_SERVER)).fetchone()
    database, role, encoding, version, number = row or ("", "", "", "", 0)
    server_info = ServerInfo(version.partition(" ")[0], number // 10_000)
    if server_info.major < MIN_MAJOR_VERSION:
        problem = f"PostgreSQL {server_info.version} is too old: {MIN_MAJOR_VERSION} is needed"
        return replace(server_info, problem=problem)
    if encoding != "UTF8":
        problem = (
            f"the database {database!r} is encoded in {encoding}, which can't store every name:"
            " create one with `create database NAME encoding 'UTF8' template template0`,"
            " and set POSTGRES_DB to it"
        )
        return replace(server_info, problem=problem)
    async with transaction(conn, schema=DEFAULT_SCHEMA):
        pass  # as every query of the service, which a pooler in statement mode refuses
    schema, may_create = await find_schema(conn), True
    if schema is None:
        schema, may_create = await _select_schema_for_new_tables(conn)
    server_info = replace(server_info, schema=schema)
    tables = await _select_tables(conn, schema)
    if foreign := _foreign_tables(tables):
        return replace(server_info, problem=_describe_foreign(foreign, schema, database))
    if not tables and not may_create:
        problem = (
            f"the role {role!r} may not create tables in the database {database!r}: run"
            f' `grant usage, create on schema {schema} to "{role}"` there as its owner,'
            " or set POSTGRES_USER to its owner"
        )
        return replace(server_info, problem=problem)
    if tables:
        return await _check_tables(conn, server_info, tables, database=database, role=role)
    return server_info


async def _check_tables(
    conn: Connection, server_info: ServerInfo, tables: Sequence[_Table], *, database: str, role: str
) -> ServerInfo:
    schema = server_info.schema
    forbidden = [
        table.name
        for table in tables
        if not table.is_readable or not (table.is_writable or table.name == "alembic_version")
    ]
    if forbidden:
        problem = (
            f"the role {role!r} may not read and write {', '.join(forbidden)} in the database"
            f" {database!r}: run `grant select, insert, update, delete on all tables in schema"
            f' {schema} to "{role}"` there as their owner, or set POSTGRES_USER to their owner'
        )
        return replace(server_info, problem=problem)
    async with transaction(conn, schema=schema):
        cursor = await conn.execute("select version_num from alembic_version")
        row = await cursor.fetchone()
    server_info = replace(server_info, revision=str(row[0]) if row else None)
    revision = server_info.revision or ""
    if len(revision) != len(HEAD) or not revision.isdecimal():
        foreign = _describe_foreign(["alembic_version"], schema, database)
        return replace(server_info, problem=foreign)
    if revision > HEAD:
        problem = "the database was migrated by a newer version of github-banners: run that version"
        return replace(server_info, problem=problem)
    if revision < HEAD and not all(table.is_alterable for table in tables):
        problem = (
            f"the tables in the database {database!r} are older than this version, and the role"
            f" {role!r} may not change them: run `github-banners migrate` with their owner as"
            " POSTGRES_USER"
        )
        return replace(server_info, problem=problem)
    return server_info


async def _select_schema_for_new_tables(conn: Connection) -> tuple[str, bool]:
    """Return the schema for new tables, and True if the role may create them there."""
    cursor = await conn.execute(_SELECT_SCHEMA_FOR_NEW_TABLES, {"default": DEFAULT_SCHEMA})
    row = await cursor.fetchone()
    return (str(row[0]), bool(row[1])) if row else (DEFAULT_SCHEMA, False)


async def _select_tables(conn: Connection, schema: str) -> list[_Table]:
    parameters = {"schema": schema, "names": list(TABLES)}
    cursor = await conn.execute(_SELECT_TABLES, parameters)
    return [_Table(*row) for row in await cursor.fetchall()]


def _foreign_tables(tables: Sequence[_Table]) -> list[str]:
    """Return the tables of other programs that have one of our table names."""
    # Our tables are created in one transaction, so they are all there or none is.
    if 0 < len(tables) < len(TABLES):
        return [table.name for table in tables]
    return [
        table.name
        for table in tables
        if not _REQUIRED_COLUMNS.get(table.name, set()) <= set(table.columns)
    ]


def _describe_foreign(names: Sequence[str], schema: str, database: str) -> str:
    return (
        f"another program has tables with our names in the database {database!r}"
        f" ({', '.join(names)} in the schema {schema}): give github-banners a database of its own,"
        " and set POSTGRES_DB to it"
    )

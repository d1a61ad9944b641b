"""Explanations of refused logins."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from github_banners.database import connect_errors
from github_banners.database.connect_errors import explain_login_error
from github_banners.database.migrations import migrate
from github_banners.errors import ConfigurationError, DatabaseUnavailable
from tests.integration.database.servers import ManagedServer

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(sys.platform != "linux", reason="libpq traces need Linux"),
]

ROLES = """
create role ada login password 'right';
create role rejected login password 'right';
create role plain login password 'right';
create database closed;
revoke connect on database closed from public;
"""
RULES = """
local all ada scram-sha-256
local all plain password
local all rejected reject
"""


@pytest.fixture(scope="module")
def conninfo(reachable_dir: Path) -> Iterator[str]:
    """A server with its own pg_hba.conf, which is read at the start."""
    server = ManagedServer(reachable_dir / "strict")
    server.start()
    with psycopg.connect(server.conninfo, autocommit=True) as conn:
        for statement in ROLES.strip().splitlines():
            conn.execute(statement.encode())
    server.close()
    rules = server.data_dir / "pg_hba.conf"
    rules.write_text(RULES + rules.read_text())
    server.start()
    yield server.conninfo
    server.close()


REFUSED_LOGINS = {
    "a wrong password": (
        {"user": "ada", "password": "wrong"},
        "PostgreSQL rejects the password of 'ada': check POSTGRES_USER, POSTGRES_PASSWORD",
    ),
    "a wrong password in clear": (
        {"user": "plain", "password": "wrong"},
        "PostgreSQL rejects the password of 'plain': check POSTGRES_USER, POSTGRES_PASSWORD",
    ),
    "no password": (
        {"user": "ada"},
        "PostgreSQL requires a password for 'ada': set POSTGRES_PASSWORD",
    ),
    "no such user": (
        {"user": "grace"},
        "PostgreSQL rejects the user 'grace': check POSTGRES_USER, and the server's pg_hba.conf",
    ),
    "a rule": (
        {"user": "rejected", "password": "right"},
        "PostgreSQL rejects the user 'rejected': check POSTGRES_USER, and the server's pg_hba.conf",
    ),
    "no such database": (
        {"user": "ada", "password": "right", "dbname": 'no"where'},
        "PostgreSQL has no database 'no\"where': check POSTGRES_DB, or create it",
    ),
    "no right": (
        {"user": "ada", "password": "right", "dbname": "closed"},
        "PostgreSQL user 'ada' may not connect to database 'closed': check both, or grant it",
    ),
}


@pytest.mark.parametrize(("parameters", "message"), REFUSED_LOGINS.values(), ids=REFUSED_LOGINS)
async def test_migrate_refused_login_says_what_to_check(
    conninfo: str, parameters: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError) as error_info:
        await migrate(make_conninfo(conninfo, **parameters))
    assert str(error_info.value) == message


@pytest.mark.parametrize(
    "parameters", [parameters for parameters, _ in REFUSED_LOGINS.values()], ids=REFUSED_LOGINS
)
async def test_migrate_later_refused_login_is_unavailable(
    conninfo: str, parameters: dict[str, str]
) -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate(make_conninfo(conninfo, **parameters), explain_login_errors=False)


@pytest.mark.parametrize("conninfo", ["host=/conninfo", "host=127.0.0.1 port=1"])
async def test_migrate_server_down_is_unavailable(conninfo: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate(conninfo)


async def test_migrate_too_many_connections_is_unavailable(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("alter role ada connection limit 0")
        try:
            with pytest.raises(DatabaseUnavailable):
                await migrate(make_conninfo(conninfo, user="ada", password="right"))
        finally:
            conn.execute("alter role ada connection limit -1")


async def test_explain_login_error_second_login_succeeds_is_none(conninfo: str) -> None:
    with pytest.raises(psycopg.OperationalError) as error_info:
        await psycopg.AsyncConnection.connect(make_conninfo(conninfo, user="grace"))
    assert await explain_login_error(conninfo, error_info.value) is None


def test_fetch_sqlstate_silent_server_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connect_errors, "_TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        conninfo = make_conninfo(host="127.0.0.1", port=silent.getsockname()[1], user="ada")
        assert connect_errors.fetch_sqlstate(conninfo) is None


async def test_explain_login_error_without_connection_is_none(conninfo: str) -> None:
    assert await explain_login_error(conninfo, psycopg.OperationalError("late")) is None

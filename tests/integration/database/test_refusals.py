"""Servers that do not let us in, and what is said of it."""

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
from tests.integration.database.servers import OwnServer

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(sys.platform != "linux", reason="libpq is traced on Linux only"),
]

ROLES = """
create role ada login password 'right';
create role shut_out login password 'right';
create role plain login password 'right';
create database kept_shut;
revoke connect on database kept_shut from public;
"""
RULES = """
local all ada scram-sha-256
local all plain password
local all shut_out reject
"""


@pytest.fixture(scope="module")
def conninfo(reachable_dir: Path) -> Iterator[str]:
    """A server with rules of its own, which it reads when it starts."""
    own = OwnServer(reachable_dir / "strict")
    own.start()
    with psycopg.connect(own.conninfo, autocommit=True) as conn:
        for statement in ROLES.strip().splitlines():
            conn.execute(statement.encode())
    own.close()
    rules = own.data_dir / "pg_hba.conf"
    rules.write_text(RULES + rules.read_text())
    own.start()
    yield own.conninfo
    own.close()


REFUSALS = {
    "a wrong password": (
        {"user": "ada", "password": "wrong"},
        "PostgreSQL refuses the password of 'ada': check POSTGRES_USER, POSTGRES_PASSWORD",
    ),
    "a wrong password in clear": (
        {"user": "plain", "password": "wrong"},
        "PostgreSQL refuses the password of 'plain': check POSTGRES_USER, POSTGRES_PASSWORD",
    ),
    "no password": (
        {"user": "ada"},
        "PostgreSQL wants a password of 'ada': set POSTGRES_PASSWORD",
    ),
    "no such user": (
        {"user": "grace"},
        "PostgreSQL does not let 'grace' in: check POSTGRES_USER, and the server's pg_hba.conf",
    ),
    "a rule": (
        {"user": "shut_out", "password": "right"},
        "PostgreSQL does not let 'shut_out' in: check POSTGRES_USER, and the server's pg_hba.conf",
    ),
    "no such database": (
        {"user": "ada", "password": "right", "dbname": 'no"where'},
        "PostgreSQL has no database 'no\"where': check POSTGRES_DB, or create it",
    ),
    "no right": (
        {"user": "ada", "password": "right", "dbname": "kept_shut"},
        "PostgreSQL keeps 'ada' out of database 'kept_shut': check both, or grant it connect",
    ),
}


@pytest.mark.parametrize(("wrong", "sentence"), REFUSALS.values(), ids=REFUSALS)
async def test_at_the_start_a_refusal_says_what_to_check(
    conninfo: str, wrong: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await migrate(make_conninfo(conninfo, **wrong))
    assert str(refused.value) == sentence


@pytest.mark.parametrize("wrong", [wrong for wrong, _ in REFUSALS.values()], ids=REFUSALS)
async def test_later_a_refusal_is_waited_out(conninfo: str, wrong: dict[str, str]) -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate(make_conninfo(conninfo, **wrong), explain_login_errors=False)


@pytest.mark.parametrize("nowhere", ["host=/nowhere", "host=127.0.0.1 port=1"])
async def test_a_server_that_is_away_is_waited_for(nowhere: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate(nowhere)


async def test_a_server_that_is_full_is_waited_for(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("alter role ada connection limit 0")
        try:
            with pytest.raises(DatabaseUnavailable):
                await migrate(make_conninfo(conninfo, user="ada", password="right"))
        finally:
            conn.execute("alter role ada connection limit -1")


async def test_who_is_let_in_meanwhile_was_not_refused(conninfo: str) -> None:
    with pytest.raises(psycopg.OperationalError) as failed:
        await psycopg.AsyncConnection.connect(make_conninfo(conninfo, user="grace"))
    assert await explain_login_error(conninfo, failed.value) is None


def test_a_server_that_says_nothing_is_not_waited_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connect_errors, "_TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = make_conninfo(host="127.0.0.1", port=silent.getsockname()[1], user="ada")
        assert connect_errors._fetch_sqlstate(where) is None


async def test_an_error_without_an_attempt_explains_nothing(conninfo: str) -> None:
    assert await explain_login_error(conninfo, psycopg.OperationalError("late")) is None

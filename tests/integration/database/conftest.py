"""Run the database tests on the embedded server and on the oldest supported PostgreSQL."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from github_banners.database.connect import Connection


@pytest.fixture(scope="session", params=["embedded", "foreign"])
def postgres_server(request: pytest.FixtureRequest) -> str:
    conninfo: str = request.getfixturevalue(f"{request.param}_server")
    return conninfo


@pytest.fixture
async def conn(conninfo: str) -> AsyncIterator[Connection]:
    """A connection in a transaction that is never committed."""
    async with await psycopg.AsyncConnection.connect(
        conninfo, options="-c timezone=UTC"
    ) as connection:
        yield connection
        await connection.rollback()

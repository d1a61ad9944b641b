"""
Every statement reads the requested rows and not the table: `explain` with 100,000 owners.

The statements are those that the functions of the database package execute in `CALLS`. A function
that executes a statement and is in no call fails a test.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from github_banners.database.loaders import register_loaders
from tests.integration.conftest import TEMPLATE, fresh_database, make_template
from tests.integration.database.population import fill
from tests.integration.database.samples import NOON
from tests.integration.database.statement_calls import CALLS, select_sample
from tests.integration.database.statement_plans import (
    ExplainingConnection,
    Statement,
    explain_calls,
)
from tests.integration.test_fault_list import functions_that_execute

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

OWNERS = 100_000
MAX_ROWS = 1_200
"""One owner has up to 1,000 banners; the hundredth of banners that wait for a retry are more."""
MAX_ROWS_OF = {
    "request: look up": 5_000,
    "refresh: save one with 5,000 repositories": 5_000,
    # reads the owners and each banner three times
    "refresh: save 20 renamed, one with 1,000 banners": 3_300,
    # reads each banner three times
    "forget: two users, one with 1,000 banners": 3_300,
    # reads each owner twice and its banners once
    "bookkeeping: 1,000 requests": 3_500,
    # counts up to 1,000 banners and 1,000 owners
    "bookkeeping: backlogs": 2_000,
}
"""Calls that ask for more rows."""

NOT_EXPLAINED = {
    # of the catalogs of the server
    *("server_info._fetch_server_info", "server_info._select_tables"),
    *("server_info._select_schema_for_new_tables", "session.find_schema"),
    # of one row, of the version of the tables
    "server_info._check_tables",
    # of no table
    *("change_listener._listen", "change_listener._notify", "connect.transaction"),
    # of the commands `check` and `migrate`, which read all rows
    *("server_info.count_rows_ahead", "server_info.try_writing", "migrations._upgrade"),
    "migrations.go_back",
    "refresh_costs.fetch_refresh_costs",
    # of all rows of small tables
    *("forgotten_users.count_removed_pictures", "forgotten_users.select_denied_logins"),
}
"""Functions that execute statements beside those of the service's work."""


@pytest.fixture(scope="module")
def statements(embedded_server: str, servers_with_template: set[str]) -> Iterator[list[Statement]]:
    """Fill a database, and explain the statements of all calls."""
    if embedded_server not in servers_with_template:
        make_template(embedded_server)
        servers_with_template.add(embedded_server)
    with fresh_database(embedded_server, template=TEMPLATE) as conninfo:
        fill(conninfo, owners=OWNERS, now=NOON, mean_repositories=3)
        # In a thread of its own, since this one may already run an event loop.
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(asyncio.run, explain_all(conninfo)).result()


async def explain_all(conninfo: str) -> list[Statement]:
    async with await ExplainingConnection.connect(
        conninfo, autocommit=True, prepare_threshold=None
    ) as conn:
        register_loaders(conn)
        return await explain_calls(conn, CALLS, await select_sample(conn, now=NOON))


def test_statements_of_every_function_are_explained(statements: list[Statement]) -> None:
    explained = {statement.function for statement in statements}
    assert explained == functions_that_execute() - NOT_EXPLAINED


def test_statements_use_indexes(statements: list[Statement]) -> None:
    scanned = [
        f"{statement.call}: {statement.function}: {statement.scans}\n{statement.text}"
        for statement in statements
        if any(node["Node Type"] == "Seq Scan" for node in statement.nodes)
    ]
    assert scanned == []


def test_statements_read_only_requested_rows(statements: list[Statement]) -> None:
    unbounded = [
        f"{statement.call}: {statement.function}: {statement.rows_read} rows read,"
        f" {statement.rows_removed} removed\n{statement.text}"
        for statement in statements
        if max(statement.rows_read, statement.rows_removed)
        > MAX_ROWS_OF.get(statement.call, MAX_ROWS)
    ]
    assert unbounded == []

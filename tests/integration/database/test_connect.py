"""The connection pool, also with frozen and killed servers."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from github_banners.database.connect import Connection, Database
from github_banners.database.embedded import run_embedded_server
from github_banners.errors import DatabaseUnavailable
from tests.fake_clock import drain_loop
from tests.integration.database.servers import ManagedServer
from tests.time_limits import finish_within

pytestmark = pytest.mark.postgres

LIMIT_SECONDS = 0.3
SLACK_SECONDS = 0.25

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")


async def select_one(conn: Connection) -> int:
    row = await (await conn.execute("select 1")).fetchone()
    assert row is not None
    return int(row[0])


async def sleep_on_server(conn: Connection) -> None:
    await conn.execute("select pg_sleep(60)")


async def in_transaction(
    database: Database, work: Callable[[Connection], Awaitable[object]]
) -> None:
    async with database.transaction() as conn:
        await work(conn)


async def until(is_true: Callable[[], Awaitable[bool]]) -> None:
    while not await is_true():  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.01)


async def expect_refusal(
    database: Database, work: Callable[[Connection], Awaitable[object]] = select_one
) -> None:
    """Run work, which is refused at its limit or before."""
    with pytest.raises(DatabaseUnavailable):
        await finish_within(
            database.run_within(work, timeout_seconds=LIMIT_SECONDS),
            seconds=LIMIT_SECONDS + SLACK_SECONDS,
        )


async def expect_refusal_at_once(database: Database) -> None:
    """Run work, which is refused without waiting for anything."""
    refused = asyncio.create_task(database.run_within(select_one, timeout_seconds=LIMIT_SECONDS))
    await drain_loop()
    assert isinstance(refused.exception(), DatabaseUnavailable)


async def until_available(database: Database) -> None:
    async def is_available() -> bool:
        try:
            return await database.run_within(select_one, timeout_seconds=LIMIT_SECONDS) == 1
        except DatabaseUnavailable:
            return False

    await until(is_available)


@pytest.fixture(scope="module")
def server_dir(reachable_dir: Path) -> Path:
    return reachable_dir / "own"


@pytest.fixture
def server(server_dir: Path) -> Iterator[ManagedServer]:
    server = ManagedServer(server_dir)
    server.start()
    yield server
    server.close()


@pytest.fixture
async def server_database(server: ManagedServer) -> AsyncIterator[Database]:
    """A pool for the server that the test freezes or kills."""
    async with Database(server.conninfo) as database:
        yield database


async def test_run_within_returns_result_and_commits(database: Database) -> None:
    async def write(conn: Connection) -> str:
        await conn.execute("create table notes (text text)")
        await conn.execute("insert into notes values ('kept')")
        return "written"

    async def read(conn: Connection) -> list[tuple[str]]:
        return await (await conn.execute("select text from notes")).fetchall()

    assert await database.run_within(write, timeout_seconds=5) == "written"
    assert await database.run_within(read, timeout_seconds=5) == [("kept",)]
    assert database.is_available


async def test_run_within_failure_is_rolled_back(database: Database) -> None:
    async def fail(conn: Connection) -> None:
        await conn.execute("create table notes (text text)")
        await conn.execute("select 1 / 0")

    with pytest.raises(DatabaseUnavailable, match="DivisionByZero: division by zero"):
        await database.run_within(fail, timeout_seconds=5)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await in_transaction(database, fail)
    async with database.transaction() as conn:
        cursor = await conn.execute("select to_regclass('notes') is null")
        assert await cursor.fetchone() == (True,)
    assert database.is_available


async def test_run_within_missing_table_is_unavailable_and_logged_once(database: Database) -> None:
    async def fail(conn: Connection) -> None:
        await conn.execute("select from nowhere")

    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await database.run_within(fail, timeout_seconds=5)
    reason = 'UndefinedTable: relation "nowhere" does not exist'
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("database.refused", reason)]
    assert database.is_available


async def test_transaction_time_zone_is_utc(database: Database) -> None:
    async with database.transaction() as conn:
        assert await (await conn.execute("show timezone")).fetchone() == ("UTC",)


async def test_run_within_error_response_keeps_database_available(database: Database) -> None:
    async def be_cancelled(conn: Connection) -> None:
        await conn.execute("set local statement_timeout = 1")
        await sleep_on_server(conn)

    with pytest.raises(DatabaseUnavailable):
        await database.run_within(be_cancelled, timeout_seconds=5)
    assert database.is_available
    assert await database.run_within(select_one, timeout_seconds=5) == 1


async def test_run_within_late_job_commits_and_closes_connection(database: Database) -> None:
    may_continue, pids = asyncio.Event(), []

    async def work(conn: Connection) -> None:
        pids.append(conn.info.backend_pid)
        await conn.execute("create table created_late ()")
        await may_continue.wait()

    async def is_there() -> bool:
        async with database.transaction() as conn:
            pids.append(conn.info.backend_pid)
            cursor = await conn.execute("select to_regclass('created_late') is not null")
            return await cursor.fetchone() == (True,)

    await expect_refusal(database, work)
    assert not database.is_available
    assert not await is_there()
    may_continue.set()
    await until(is_there)
    assert pids[0] not in pids[1:]


async def test_run_within_cancelled_request_does_not_cancel_job(database: Database) -> None:
    started, may_continue, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(conn: Connection) -> None:
        started.set()
        await may_continue.wait()
        ended.set()

    request = asyncio.create_task(database.run_within(work, timeout_seconds=5))
    await started.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    may_continue.set()
    await ended.wait()
    assert database.is_available


async def test_transaction_cancelled_while_waiting_for_a_connection_ends(conninfo: str) -> None:
    """A task that waits for a connection ends also if it gets one just when it is cancelled."""

    async def use_repeatedly(database: Database) -> None:
        while True:
            async with database.transaction():
                await asyncio.sleep(0)

    async with Database(conninfo, max_connections=1) as database:
        for step in range(100):
            tasks = [asyncio.create_task(use_repeatedly(database)) for _ in range(3)]
            await asyncio.sleep(step / 10_000)
            for task in tasks:
                task.cancel()
            _, running = await asyncio.wait(tasks, timeout=5)
            assert not running


async def test_run_within_late_without_connection_does_not_start(conninfo: str) -> None:
    """Many jobs wait behind a slow one: they are dropped, and no connection is lost."""
    may_continue, started = asyncio.Event(), []

    async def hold(conn: Connection) -> None:
        await may_continue.wait()

    async def work(conn: Connection) -> None:
        started.append(conn)

    async with Database(conninfo, max_connections=1) as database:
        holding = asyncio.create_task(database.run_within(hold, timeout_seconds=30))
        await asyncio.gather(*(expect_refusal(database, work) for _ in range(10)))
        may_continue.set()
        await holding
        assert await database.run_within(select_one, timeout_seconds=5) == 1
    assert started == []


async def test_run_within_late_job_failure_is_contained(database: Database) -> None:
    may_continue = asyncio.Event()

    async def work(conn: Connection) -> None:
        await may_continue.wait()
        await conn.execute("select 1 / 0")

    await expect_refusal(database, work)
    may_continue.set()
    await until_available(database)
    assert database.is_available


async def test_database_opens_without_server_and_connects_later(server_dir: Path) -> None:
    conninfo = f"host={server_dir} user=postgres"
    async with Database(conninfo) as database:
        assert not database.is_available
        await expect_refusal(database)
        with pytest.raises(DatabaseUnavailable):
            await in_transaction(database, select_one)
        with run_embedded_server(server_dir, on_progress=print):
            await finish_within(until_available(database), seconds=2.5)
            assert database.is_available


@needs_proc
async def test_run_within_frozen_server_fails_in_time(
    server: ManagedServer, server_database: Database
) -> None:
    assert await server_database.run_within(select_one, timeout_seconds=5) == 1
    with server.frozen():
        await expect_refusal(server_database)
        await expect_refusal_at_once(server_database)
        assert not server_database.is_available
    await finish_within(until_available(server_database), seconds=2.5)


@needs_proc
async def test_run_within_long_frozen_server_exhausts_no_connections(server: ManagedServer) -> None:
    """More probes hang than there are connections; then the database is available again."""
    clock = iter(range(1_000_000))
    async with Database(server.conninfo, max_connections=2, clock=lambda: next(clock)) as database:
        with server.frozen():
            for _ in range(5):
                await expect_refusal(database)
        await finish_within(until_available(database), seconds=4)


@needs_proc
async def test_database_closes_in_time_on_frozen_server(server: ManagedServer) -> None:
    database = Database(server.conninfo)
    await database.__aenter__()
    with server.frozen():
        await expect_refusal(database)
        await finish_within(database.__aexit__(None, None, None), seconds=4)


@needs_proc
async def test_database_reconnects_to_restarted_server(
    server: ManagedServer, server_database: Database
) -> None:
    assert await server_database.run_within(select_one, timeout_seconds=5) == 1
    server.kill()
    await expect_refusal(server_database)
    await expect_refusal_at_once(server_database)
    server.start()
    await finish_within(until_available(server_database), seconds=2.5)


@needs_proc
async def test_run_within_server_killed_during_job_is_unavailable(
    server: ManagedServer, server_database: Database
) -> None:
    async def work(conn: Connection) -> None:
        server.kill()
        await select_one(conn)

    with pytest.raises(DatabaseUnavailable):
        await server_database.run_within(work, timeout_seconds=5)
    server.start()
    await finish_within(until_available(server_database), seconds=2.5)
    with pytest.raises(DatabaseUnavailable):
        await in_transaction(server_database, work)

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from github_banners.database.connect import Connection, Database
from github_banners.database.embedded import run_embedded_server
from github_banners.errors import DatabaseUnavailable
from tests.integration.database.servers import OwnServer

pytestmark = pytest.mark.postgres

LIMIT_SECONDS = 0.3
SLACK_SECONDS = 0.25  # a busy machine's

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")


async def one(conn: Connection) -> int:
    row = await (await conn.execute("select 1")).fetchone()
    assert row is not None
    return int(row[0])


async def nap(conn: Connection) -> None:
    await conn.execute("select pg_sleep(60)")


async def in_transaction(
    database: Database, work: Callable[[Connection], Awaitable[object]]
) -> None:
    async with database.transaction() as conn:
        await work(conn)


async def seconds_until(done: Callable[[], Awaitable[bool]]) -> float:
    begun = time.monotonic()
    while True:
        if await done():
            return time.monotonic() - begun
        await asyncio.sleep(0.01)


async def seconds_refused(
    database: Database, work: Callable[[Connection], Awaitable[object]] = one
) -> float:
    """Ask, expect a refusal, and tell how long it took."""
    begun = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        await database.run_within(work, timeout_seconds=LIMIT_SECONDS)
    return time.monotonic() - begun


async def seconds_until_well(database: Database) -> float:
    async def is_well() -> bool:
        try:
            return await database.run_within(one, timeout_seconds=LIMIT_SECONDS) == 1
        except DatabaseUnavailable:
            return False

    return await seconds_until(is_well)


@pytest.fixture(scope="module")
def server_dir(reachable_dir: Path) -> Path:
    return reachable_dir / "own"


@pytest.fixture
def server(server_dir: Path) -> Iterator[OwnServer]:
    own = OwnServer(server_dir)
    own.start()
    yield own
    own.close()


@pytest.fixture
async def opened(server: OwnServer) -> AsyncIterator[Database]:
    async with Database(server.conninfo) as database:
        yield database


async def test_answers_and_commits(database: Database) -> None:
    async def write(conn: Connection) -> str:
        await conn.execute("create table notes (text text)")
        await conn.execute("insert into notes values ('kept')")
        return "written"

    async def read(conn: Connection) -> list[tuple[str]]:
        return await (await conn.execute("select text from notes")).fetchall()

    assert await database.run_within(write, timeout_seconds=5) == "written"
    assert await database.run_within(read, timeout_seconds=5) == [("kept",)]
    assert database.is_available


async def test_what_fails_is_rolled_back_and_named(database: Database) -> None:
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


async def test_transaction_missing_table_is_unavailable_and_logged_once(database: Database) -> None:
    async def fail(conn: Connection) -> None:
        await conn.execute("select from nowhere")

    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await database.run_within(fail, timeout_seconds=5)
    reason = 'UndefinedTable: relation "nowhere" does not exist'
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("database.refused", reason)]
    assert database.is_available


async def test_times_are_in_utc(database: Database) -> None:
    async with database.transaction() as conn:
        assert await (await conn.execute("show timezone")).fetchone() == ("UTC",)


async def test_a_server_that_refuses_is_not_away(database: Database) -> None:
    async def be_cancelled(conn: Connection) -> None:
        await conn.execute("set local statement_timeout = 1")
        await nap(conn)

    with pytest.raises(DatabaseUnavailable):
        await database.run_within(be_cancelled, timeout_seconds=5)
    assert database.is_available
    assert await database.run_within(one, timeout_seconds=5) == 1


async def test_late_work_goes_on_and_its_connection_is_thrown_away(database: Database) -> None:
    go_on, pids = asyncio.Event(), []

    async def work(conn: Connection) -> None:
        pids.append(conn.info.backend_pid)
        await conn.execute("create table made_late ()")
        await go_on.wait()

    async def is_there() -> bool:
        async with database.transaction() as conn:
            pids.append(conn.info.backend_pid)
            cursor = await conn.execute("select to_regclass('made_late') is not null")
            return await cursor.fetchone() == (True,)

    await seconds_refused(database, work)
    assert not database.is_available
    assert not await is_there()
    go_on.set()
    await seconds_until(is_there)
    assert pids[0] not in pids[1:]


async def test_a_request_that_is_given_up_does_not_take_the_work_along(database: Database) -> None:
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(conn: Connection) -> None:
        begun.set()
        await go_on.wait()
        ended.set()

    asking = asyncio.create_task(database.run_within(work, timeout_seconds=5))
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    go_on.set()
    await ended.wait()
    assert database.is_available


async def test_what_is_late_before_it_has_a_connection_is_not_begun(conninfo: str) -> None:
    """A crowd waits behind one slow call: what it came for is dropped, and no connection with it."""
    go_on, begun = asyncio.Event(), []

    async def hold(conn: Connection) -> None:
        await go_on.wait()

    async def work(conn: Connection) -> None:
        begun.append(conn)

    async with Database(conninfo, max_connections=1) as database:
        holding = asyncio.create_task(database.run_within(hold, timeout_seconds=30))
        refused = [seconds_refused(database, work) for _ in range(10)]
        assert max(await asyncio.gather(*refused)) < LIMIT_SECONDS + SLACK_SECONDS
        go_on.set()
        await holding
        assert await database.run_within(one, timeout_seconds=5) == 1
    assert begun == []


async def test_late_work_that_fails_disturbs_nobody(database: Database) -> None:
    go_on = asyncio.Event()

    async def work(conn: Connection) -> None:
        await go_on.wait()
        await conn.execute("select 1 / 0")

    await seconds_refused(database, work)
    go_on.set()
    await seconds_until_well(database)
    assert database.is_available


async def test_starts_without_a_server_and_finds_it_later(server_dir: Path) -> None:
    nobody_there = f"host={server_dir} user=postgres"
    async with Database(nobody_there) as database:
        assert not database.is_available
        assert await seconds_refused(database) < LIMIT_SECONDS + SLACK_SECONDS
        with pytest.raises(DatabaseUnavailable):
            await in_transaction(database, one)
        with run_embedded_server(server_dir, on_progress=print):
            assert await seconds_until_well(database) < 2.5
            assert database.is_available


@needs_proc
async def test_a_frozen_server_holds_nobody_up(server: OwnServer, opened: Database) -> None:
    assert await opened.run_within(one, timeout_seconds=5) == 1
    with server.frozen():
        assert await seconds_refused(opened) < LIMIT_SECONDS + SLACK_SECONDS
        assert await seconds_refused(opened) < 0.05
        assert not opened.is_available
    assert await seconds_until_well(opened) < 2.5


@needs_proc
async def test_a_server_frozen_for_long_uses_nothing_up(server: OwnServer) -> None:
    """Probe after probe hangs, more than there are connections; then all is well again."""
    clock = iter(range(1_000_000))
    async with Database(server.conninfo, max_connections=2, clock=lambda: next(clock)) as database:
        with server.frozen():
            for _ in range(5):
                assert await seconds_refused(database) < LIMIT_SECONDS + SLACK_SECONDS
        assert await seconds_until_well(database) < 4


@needs_proc
async def test_closing_on_a_frozen_server_takes_a_moment(server: OwnServer) -> None:
    database = Database(server.conninfo)
    await database.__aenter__()
    with server.frozen():
        await seconds_refused(database)
        begun = time.monotonic()
        await database.__aexit__(None, None, None)
        assert time.monotonic() - begun < 4


@needs_proc
async def test_a_killed_server_is_found_again(server: OwnServer, opened: Database) -> None:
    assert await opened.run_within(one, timeout_seconds=5) == 1
    server.kill()
    assert await seconds_refused(opened) < LIMIT_SECONDS + SLACK_SECONDS
    assert await seconds_refused(opened) < 0.05
    server.start()
    assert await seconds_until_well(opened) < 2.5


@needs_proc
async def test_a_server_killed_during_work(server: OwnServer, opened: Database) -> None:
    async def work(conn: Connection) -> None:
        server.kill()
        await one(conn)

    with pytest.raises(DatabaseUnavailable):
        await opened.run_within(work, timeout_seconds=5)
    server.start()
    assert await seconds_until_well(opened) < 2.5
    with pytest.raises(DatabaseUnavailable):
        await in_transaction(opened, work)

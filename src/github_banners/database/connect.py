"""
Connection pool for PostgreSQL: `run_within` for requests with a deadline, `transaction` for others.

It works while the server is down, and reconnects. A psycopg error that may pass is raised as
`DatabaseUnavailable`; errors of our own SQL keep their type in background work. Session settings are
made by `set local` at the start of each transaction, because a pooler in transaction mode rejects
start-up options and may run each transaction in another session.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakSet

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout
from psycopg_pool import TooManyRequests as PoolQueueFull

from github_banners.circuit_breaker import CircuitBreaker
from github_banners.database import session
from github_banners.database.loaders import register_loaders
from github_banners.database.session import Connection
from github_banners.errors import DatabaseUnavailable
from github_banners.log_throttle import LogThrottle

__all__ = [
    "TRANSIENT_ERRORS",
    "Connection",
    "Database",
    "begin_settings",
    "error_text",
    "is_connection_loss",
    "is_database_error",
    "mapping_driver_errors",
    "transaction",
    "wait_in_steps",
]

T = TypeVar("T")

_log = structlog.get_logger(__name__)

# The server is down, or refuses for now. Errors in our SQL or data (other ProgrammingErrors,
# IntegrityError, DataError, NotSupportedError) are bugs and keep their type.
TRANSIENT_ERRORS: tuple[type[Exception], ...] = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # Tables or privileges are missing until an operator adds them.
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
    PoolTimeout,
    PoolClosed,
    PoolQueueFull,
)

# Codes of https://www.postgresql.org/docs/current/errcodes-appendix.html that mean a lost connection;
# any other code is a response of the server.
_CONNECTION_LOSS_SQLSTATES = ("08", "57P01", "57P02", "57P03")

_FIRST_CONNECTION_TIMEOUT_SECONDS = 1.0
_POOL_TIMEOUT_SECONDS = 3.0
# The pool doubles its delay after each failed attempt. A short limit resets the delay, so that the
# pool reconnects within about a second even after an outage of an hour.
_RECONNECT_TIMEOUT_SECONDS = 2.0
_CLOSE_TIMEOUT_SECONDS = 1.0
_CANCEL_ATTEMPTS = 5
_WAIT_STEPS = 5

_SETTINGS = """
    set local search_path to {schema}, pg_temp;
    set local timezone to 'UTC';
    set local datestyle to 'ISO, MDY';
    set local intervalstyle to 'postgres';
    set local array_nulls to on;
    set local bytea_output to 'hex';
    set local standard_conforming_strings to on;
    set local lock_timeout to 0;
    set local statement_timeout to {statement_timeout};
    set local idle_in_transaction_session_timeout to '60s';
"""

_BEGIN = SQL("begin isolation level read committed;")


@contextmanager
def mapping_driver_errors() -> Iterator[None]:
    """
    Translate transient driver errors.

    :raises DatabaseUnavailable: PostgreSQL is down or refuses for now
    """
    try:
        yield
    except TRANSIENT_ERRORS as exc:
        raise DatabaseUnavailable(error_text(exc)) from exc


def error_text(error: BaseException) -> str:
    """Return an error's message in one line, without the details that quote stored data."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        primary = "PostgreSQL is read-only, as a replica is: set DB_HOST to the primary"
    return f"{type(error).__name__}: {' '.join((primary or str(error)).split())}".removesuffix(": ")


class Database:
    """
    Connection pool as an async context manager, which can be entered while the server is down.

    `clock` returns monotonic seconds. At most `max_connections` connections are open.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        max_connections: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._circuit = CircuitBreaker(clock, name="database")
        self._log_throttle = LogThrottle(clock)
        self._connect_error: str | None = None
        self._schema: str | None = None
        self._jobs: set[asyncio.Task[Any]] = set()
        self._timed_out: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._connections: WeakSet[Connection] = WeakSet()
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo,
            open=False,
            min_size=1,
            max_size=max_connections,
            timeout=_POOL_TIMEOUT_SECONDS,
            reconnect_timeout=_RECONNECT_TIMEOUT_SECONDS,
            connection_class=self._recording_connection(),
            kwargs={
                "autocommit": True,
                **session.connection_arguments(conninfo, application_name="github-banners"),
            },
            configure=self._set_up,
            check=AsyncConnectionPool.check_connection,
            name="database",
        )

    async def __aenter__(self) -> Self:
        try:
            await self._pool.open()
            # Not the pool's wait(): if no server responds, it closes the pool for good.
            with suppress(DatabaseUnavailable):
                await self.run_within(_ping, timeout_seconds=_FIRST_CONNECTION_TIMEOUT_SECONDS)
        except BaseException:
            # The worker tasks of an open pool ignore cancellation, and the event loop would hang.
            await self._close(grace_seconds=0)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close(grace_seconds=_CLOSE_TIMEOUT_SECONDS)

    async def _close(self, *, grace_seconds: float) -> None:
        await self._drain(grace_seconds)
        # A cancelled psycopg call waits up to 10 s for a frozen server, unless its socket is closed.
        for conn in self._connections:
            conn.pgconn.finish()
        for _ in range(_CANCEL_ATTEMPTS):
            # A job whose cancellation is lost waits for another connection: cancel repeatedly.
            for job in self._jobs:
                job.cancel()
            await self._drain(_CLOSE_TIMEOUT_SECONDS / _CANCEL_ATTEMPTS)
        await self._pool.close(timeout=_CLOSE_TIMEOUT_SECONDS)

    @property
    def is_available(self) -> bool:
        """True if the last call reached the server; used by the readiness check."""
        return not self._circuit.is_open

    async def run_within(
        self, work: Callable[[Connection], Awaitable[T]], *, timeout_seconds: float
    ) -> T:
        """
        Run work in one transaction as a separate job, and wait for it up to a time limit.

        A job that exceeds the limit continues in the background and commits; its connection is then
        closed. It does not start if it has no connection by then. After a failure, calls fail at once
        except for one probe per second.

        :raises DatabaseUnavailable: no server, no response in time, an error, or the circuit is open
        """
        if timeout_seconds <= 0 or (self._circuit.is_open and not self._circuit.allow_probe()):
            raise DatabaseUnavailable
        job = asyncio.create_task(self._run(work), name="database-job")
        self._jobs.add(job)
        job.add_done_callback(self._on_done)
        try:
            await wait_in_steps(job, timeout_seconds)
        finally:
            # Also when the request was cancelled.
            if not job.done():
                self._timed_out.add(job)
        if not job.done():
            reason = self._connect_error or f"no response within {timeout_seconds:g} s"
            raise self._record_failure(DatabaseUnavailable(reason))
        with self._tracking_availability():
            try:
                return job.result()
            except psycopg.Error as exc:
                # For a request, even a bug in our SQL counts as an unavailable database: it can
                # often be answered from the cache.
                raise DatabaseUnavailable(error_text(exc)) from exc

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """
        Yield a connection in a transaction, for background work; wait up to 3 s for a free one.

        :raises DatabaseUnavailable: no server, or the connection was lost
        """
        with self._tracking_availability():
            async with self._pooled_connection() as conn, self._transaction(conn):
                yield conn

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._pooled_connection() as conn:
            if asyncio.current_task() in self._timed_out:
                raise DatabaseUnavailable
            try:
                async with self._transaction(conn):
                    return await work(conn)
            finally:
                # After a long query the connection may be stuck; the pool opens a new one.
                if asyncio.current_task() in self._timed_out:
                    await conn.close()

    @asynccontextmanager
    async def _pooled_connection(self) -> AsyncIterator[Connection]:
        """
        Yield a connection of the pool; raise a cancellation that got lost meanwhile.

        The pool waits by `asyncio.wait_for`, which in Python 3.11 loses a cancellation that arrives
        together with the connection: https://github.com/python/cpython/issues/86296
        """
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        try:
            async with self._pool.connection() as conn:
                if task.cancelling() == cancellations:
                    with _closing_if_read_only(conn):
                        yield conn
        finally:
            if task.cancelling() > cancellations:
                raise asyncio.CancelledError

    @asynccontextmanager
    async def _transaction(self, conn: Connection) -> AsyncIterator[None]:
        if self._schema is None:
            self._schema = await session.find_schema(conn)
        async with transaction(conn, schema=self._schema or session.DEFAULT_SCHEMA):
            yield

    @contextmanager
    def _tracking_availability(self) -> Iterator[None]:
        try:
            with mapping_driver_errors():
                yield
        except DatabaseUnavailable as exc:
            if not is_connection_loss(exc.__cause__):
                self._log_refusal(exc)
                raise
            if isinstance(exc.__cause__, PoolTimeout) and self._connect_error is not None:
                exc = DatabaseUnavailable(self._connect_error)
            raise self._record_failure(exc) from exc.__cause__
        if self._circuit.is_open:
            self._circuit.close()

    def _record_failure(self, error: DatabaseUnavailable) -> DatabaseUnavailable:
        reason = str(error)
        is_new_reason = self._log_throttle.allows(("down", reason))
        if not self._circuit.record_failure(reason) and is_new_reason:
            _log.warning("database.still_down", reason=reason)
        return error

    def _log_refusal(self, error: DatabaseUnavailable) -> None:
        """Log an error response of the server, once an hour: each request may cause it."""
        reason = str(error)
        if self._log_throttle.allows(("refused", reason)):
            _log.warning("database.refused", reason=reason)

    def _recording_connection(self) -> type[Connection]:
        """Return a connection class that records why connecting failed; the pool only logs it."""
        database = self

        class RecordingConnection(AsyncConnection[Any]):
            @classmethod
            async def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
                try:
                    conn = await super().connect(conninfo, **kwargs)
                except psycopg.Error as error:
                    database._connect_error = error_text(error)
                    raise
                database._connect_error = None
                return conn

        return RecordingConnection

    def _on_done(self, job: asyncio.Task[Any]) -> None:
        self._jobs.discard(job)
        exc = None if job.cancelled() else job.exception()
        is_expected = isinstance(exc, (DatabaseUnavailable, *TRANSIENT_ERRORS))
        if exc is not None and job in self._timed_out and not is_expected:
            _log.warning("database.late_job_failed", exc_info=exc)

    async def _set_up(self, conn: Connection) -> None:
        register_loaders(conn)
        self._connections.add(conn)

    async def _drain(self, timeout_seconds: float) -> None:
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=timeout_seconds)


@contextmanager
def _closing_if_read_only(conn: Connection) -> Iterator[None]:
    """
    Close a connection to a read-only server, so that the pool opens a new one.

    After a failover a connection may stay with the former primary, and the pool would keep it.
    """
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction:
        conn.pgconn.finish()
        raise


def begin_settings(schema: str, *, statement_timeout: str = "10s") -> Composed:
    """Return the settings at the start of every transaction, to be sent in one message."""
    return SQL(_SETTINGS).format(schema=Identifier(schema), statement_timeout=statement_timeout)


@asynccontextmanager
async def transaction(conn: Connection, *, schema: str) -> AsyncIterator[None]:
    """Run a transaction on an autocommit connection; roll back if the block raises."""
    try:
        await conn.execute(_BEGIN + begin_settings(schema))
        yield
    except BaseException:
        # Keep the original error if the connection is lost too.
        with suppress(psycopg.Error):
            await conn.rollback()
        raise
    await conn.commit()


async def wait_in_steps(task: asyncio.Task[Any], timeout_seconds: float) -> None:
    """
    Wait for a task in steps, so that a pause of this process does not count as a silent server.

    A pause of the event loop uses up at most one step; responses can arrive during the others.
    """
    for _ in range(_WAIT_STEPS):
        # Not timeout() or wait_for(): they cancel the call, and wait until it has ended.
        done, _ = await asyncio.wait({task}, timeout=timeout_seconds / _WAIT_STEPS)
        if done:
            return


async def _ping(conn: Connection) -> None:
    """Run an empty transaction."""


def is_database_error(error: BaseException) -> bool:
    """Return True if the driver raised the error; its message then needs no traceback."""
    return isinstance(error, psycopg.Error)


def is_connection_loss(cause: BaseException | None) -> bool:
    """Return True if the server can't be reached, False if it responded with an error."""
    if isinstance(cause, psycopg.Error) and not isinstance(cause, TRANSIENT_ERRORS):
        return False
    sqlstate = getattr(cause, "sqlstate", None)
    return sqlstate is None or sqlstate.startswith(_CONNECTION_LOSS_SQLSTATES)

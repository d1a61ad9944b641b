"""
The way to PostgreSQL, for requests that can't wait and for background work that can.

Starts and goes on without a server. A psycopg error never leaves as itself where it means that the
server can't do it now: it becomes `DatabaseUnavailable`. Holds no SQL and no rule about banners.
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
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from github_banners.circuit_breaker import CircuitBreaker
from github_banners.database import session
from github_banners.database.session import Connection
from github_banners.errors import DatabaseUnavailable
from github_banners.log_throttle import LogThrottle

__all__ = [
    "Connection",
    "Database",
    "error_text",
    "is_connection_loss",
    "is_database_error",
    "mapping_driver_errors",
]

T = TypeVar("T")

_log = structlog.get_logger(__name__)

# The server is there and can't do it now, or can't be reached. What is wrong with our SQL or our
# data (other ProgrammingErrors, IntegrityError, DataError, NotSupportedError) stays loud.
TRANSIENT_ERRORS: tuple[type[Exception], ...] = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # Tables or rights are missing: until somebody brings them.
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
    PoolTimeout,
    PoolClosed,
    TooManyRequests,
)

# Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html that mean a lost server;
# with any other code it has answered.
_CONNECTION_LOSS_SQLSTATES = ("08", "57P01", "57P02", "57P03")

_FIRST_CONNECTION_TIMEOUT_SECONDS = 1.0
_POOL_TIMEOUT_SECONDS = 3.0
# The pool doubles its pauses between attempts; giving up early and being asked anew keeps them
# near a second, so that a server that comes back after an hour is found as fast as after a blink.
_RECONNECT_TIMEOUT_SECONDS = 2.0
_CLOSE_TIMEOUT_SECONDS = 1.0
_CANCEL_ATTEMPTS = 5
_WAIT_STEPS = 5


@contextmanager
def mapping_driver_errors() -> Iterator[None]:
    """
    Turn a driver's passing errors into ours.

    :raises DatabaseUnavailable: PostgreSQL can't be asked now
    """
    try:
        yield
    except TRANSIENT_ERRORS as exc:
        raise DatabaseUnavailable(error_text(exc)) from exc


def error_text(error: BaseException) -> str:
    """Return what an error says, in one line and without the data that it concerns."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return f"{type(error).__name__}: {' '.join((primary or str(error)).split())}".removesuffix(": ")


class Database:
    """
    A pool of connections, opened by `async with`, that never fails to open.

    `clock` tells monotonic seconds. At most `max_connections` are open at a time.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        max_connections: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._circuit = CircuitBreaker(clock)
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
            configure=self._track,
            check=AsyncConnectionPool.check_connection,
            name="database",
        )

    async def __aenter__(self) -> Self:
        try:
            await self._pool.open()
            # Not the pool's wait(): it closes the pool for good where no server is there.
            with suppress(DatabaseUnavailable):
                await self.run_within(_ping, timeout_seconds=_FIRST_CONNECTION_TIMEOUT_SECONDS)
        except BaseException:
            # The workers of an open pool ignore cancellation, and the event loop waits for them.
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
        # A cancelled psycopg call waits up to 10 s for a frozen server, unless its line is cut.
        for conn in self._connections:
            conn.pgconn.finish()
        for _ in range(_CANCEL_ATTEMPTS):
            # Python 3.11's wait_for, which psycopg waits with, can lose a cancellation.
            for errand in self._jobs:
                errand.cancel()
            await self._drain(_CLOSE_TIMEOUT_SECONDS / _CANCEL_ATTEMPTS)
        await self._pool.close(timeout=_CLOSE_TIMEOUT_SECONDS)

    @property
    def is_available(self) -> bool:
        """Say whether the last call reached the server, for readiness."""
        return not self._circuit.is_open

    async def run_within(
        self, work: Callable[[Connection], Awaitable[T]], *, timeout_seconds: float
    ) -> T:
        """
        Do a request's work in one transaction, and wait for it so long and no longer.

        Work that is late goes on by itself and commits what it does; its connection is then thrown
        away. What is late before it has a connection is not begun. After a failure calls are
        refused at once, but for one probe per second.

        :raises DatabaseUnavailable: no server, no answer in time, an error, or the last calls failed
        """
        if timeout_seconds <= 0 or not self._circuit.allow_request():
            raise DatabaseUnavailable
        errand = asyncio.create_task(self._run(work), name="database-errand")
        self._jobs.add(errand)
        errand.add_done_callback(self._on_done)
        try:
            await _wait_in_steps(errand, timeout_seconds)
        finally:
            if not errand.done():
                self._timed_out.add(errand)
        if not errand.done():
            reason = self._connect_error or f"no answer within {timeout_seconds:g} s"
            raise self._record_failure(DatabaseUnavailable(reason))
        with self._tracking_availability():
            try:
                return errand.result()
            except psycopg.Error as exc:
                # Even a mistake of ours in a statement costs a request no more than the database.
                raise DatabaseUnavailable(error_text(exc)) from exc

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """
        Lend a connection in a transaction to background work; waits up to 3 s for one.

        :raises DatabaseUnavailable: no server, or it was lost on the way
        """
        with self._tracking_availability():
            async with self._pool.connection() as conn, self._transaction(conn):
                yield conn

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._pool.connection() as conn:
            if asyncio.current_task() in self._timed_out:
                raise DatabaseUnavailable
            try:
                async with self._transaction(conn):
                    return await work(conn)
            finally:
                if asyncio.current_task() in self._timed_out:
                    await conn.close()

    @asynccontextmanager
    async def _transaction(self, conn: Connection) -> AsyncIterator[None]:
        if self._schema is None:
            self._schema = await session.find_schema(conn)
        async with session.transaction(conn, schema=self._schema or session.DEFAULT_SCHEMA):
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
        if self._circuit.record_success():
            _log.info("database.back")

    def _record_failure(self, error: DatabaseUnavailable) -> DatabaseUnavailable:
        reason = str(error)
        is_unexplained = self._log_throttle.allows(("away", reason))
        if self._circuit.record_failure():
            _log.warning("database.away", reason=reason)
        elif is_unexplained:
            # It is down for another reason than the one that was logged.
            _log.warning("database.still_away", reason=reason)
        return error

    def _log_refusal(self, error: DatabaseUnavailable) -> None:
        """Log what the server refuses, once an hour: it may be the same for every request."""
        reason = str(error)
        if self._log_throttle.allows(("refused", reason)):
            _log.warning("database.refused", reason=reason)

    def _recording_connection(self) -> type[Connection]:
        """Make a class of connections that tell why they can't be opened, which the pool does not."""
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
            _log.warning("late_database_work_failed", exc_info=exc)

    async def _track(self, conn: Connection) -> None:
        self._connections.add(conn)

    async def _drain(self, timeout_seconds: float) -> None:
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=timeout_seconds)


async def _wait_in_steps(task: asyncio.Task[Any], timeout_seconds: float) -> None:
    """
    Wait for a task, in steps, so that a pause of this process is not taken for a silent server.

    However long the event loop stood still, it costs one step; in the others answers can arrive.
    """
    for _ in range(_WAIT_STEPS):
        # Not timeout() or wait_for(): they would wait for the cancelled call.
        done, _ = await asyncio.wait({task}, timeout=timeout_seconds / _WAIT_STEPS)
        if done:
            return


async def _ping(conn: Connection) -> None:
    """Do nothing in a transaction."""


def is_database_error(error: BaseException) -> bool:
    """Tell whether the driver has raised an error, which then says all there is to say."""
    return isinstance(error, psycopg.Error)


def is_connection_loss(cause: BaseException | None) -> bool:
    """Tell a server that can't be reached from one that has answered with an error."""
    if isinstance(cause, psycopg.Error) and not isinstance(cause, TRANSIENT_ERRORS):
        return False
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(_CONNECTION_LOSS_SQLSTATES)

"""Run the background tasks of the api, which need a migrated database, and migrate it before."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import structlog

from github_banners.api.retries import keep_running
from github_banners.database.connect import error_text
from github_banners.database.migrations import migrate
from github_banners.errors import DatabaseUnavailable
from github_banners.log_throttle import LogThrottle

_log = structlog.get_logger(__name__)

_FIRST_ATTEMPT_TIMEOUT_SECONDS = 10.0
_MIGRATE_RETRY_SECONDS = 1.0
_STOP_TIMEOUT_SECONDS = 2.0


@asynccontextmanager
async def run_background_tasks(
    conninfo: str, work: Mapping[str, Callable[[], Awaitable[None]]]
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """
    Migrate the database, then run `work` as tasks; while the database is down they wait.

    Errors in data, of the database or of GitHub end none of these tasks.
    """
    attempted, ready = asyncio.Event(), asyncio.Event()
    migrating = migrate_until_ready(conninfo, attempted=attempted, ready=ready)
    tasks = [asyncio.create_task(migrating, name="migrate")]
    tasks += [
        asyncio.create_task(_run_after(ready, name, run), name=name) for name, run in work.items()
    ]
    try:
        await _wait_for_first_attempt(tasks[0], attempted)
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_STOP_TIMEOUT_SECONDS)


async def _run_after(ready: asyncio.Event, name: str, work: Callable[[], Awaitable[None]]) -> None:
    await ready.wait()
    await keep_running(name, work)
    await asyncio.Event().wait()


async def _wait_for_first_attempt(migrating: asyncio.Task[None], attempted: asyncio.Event) -> None:
    """
    Wait until the first migration has succeeded or failed, but not for a server that is silent.

    Raises the error of a migration that ended for good.
    """
    first_attempt = asyncio.create_task(attempted.wait(), name="first attempt")
    try:
        await asyncio.wait(
            {migrating, first_attempt},
            timeout=_FIRST_ATTEMPT_TIMEOUT_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        first_attempt.cancel()
    if migrating.done():
        migrating.result()


async def migrate_until_ready(
    conninfo: str, *, attempted: asyncio.Event, ready: asyncio.Event
) -> None:
    """
    Migrate, then wait until cancelled.

    The first attempt raises errors that an operator must fix; later ones are logged and retried,
    because the service already answers by then.
    """
    throttle = LogThrottle(time.monotonic)
    while not ready.is_set():
        try:
            await migrate(conninfo, explain_login_errors=not attempted.is_set())
            ready.set()
        except DatabaseUnavailable as error:
            if not attempted.is_set():
                _log.warning("database.down_at_start", reason=str(error))
            attempted.set()
            await asyncio.sleep(_MIGRATE_RETRY_SECONDS)
        except Exception as error:
            if not attempted.is_set():
                raise
            if throttle.allows(str(error)):
                _log.error("database.not_migrated", reason=error_text(error))
            await asyncio.sleep(_MIGRATE_RETRY_SECONDS)
    _log.info("database.migrated")
    attempted.set()
    await asyncio.Event().wait()

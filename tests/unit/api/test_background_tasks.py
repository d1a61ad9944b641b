"""Background tasks start after the migration, whatever state the database is in."""

import asyncio

import pytest
from structlog.testing import capture_logs

from github_banners.api import background_tasks
from github_banners.errors import ConfigurationError, DatabaseUnavailable


class FakeMigration:
    """A migration that hangs until `may_continue`, then fails with `error` if it is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_continue = asyncio.Event()
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.attempts = asyncio.Semaphore(0)
        self.were_first: list[bool] = []
        monkeypatch.setattr(background_tasks, "migrate", self.migrate)
        monkeypatch.setattr(background_tasks, "_FIRST_ATTEMPT_TIMEOUT_SECONDS", 0.05)
        monkeypatch.setattr(background_tasks, "_MIGRATE_RETRY_SECONDS", 0.01)

    async def migrate(self, conninfo: str, *, explain_login_errors: bool) -> None:
        self.were_first.append(explain_login_errors)
        self.attempts.release()
        await self.may_continue.wait()
        if self.error is not None:
            raise self.error

    async def work(self) -> None:
        self.started.set()
        await asyncio.Event().wait()


@pytest.fixture
def migration(monkeypatch: pytest.MonkeyPatch) -> FakeMigration:
    return FakeMigration(monkeypatch)


async def test_background_tasks_after_migration_start(migration: FakeMigration) -> None:
    migration.may_continue.set()
    async with background_tasks.run_background_tasks("", {"work": migration.work}) as tasks:
        await migration.started.wait()
        assert not [task for task in tasks if task.done()]
    assert all(task.cancelled() for task in tasks)


async def test_background_tasks_silent_database_does_not_block_start(
    migration: FakeMigration,
) -> None:
    async with background_tasks.run_background_tasks("", {"work": migration.work}):
        assert not migration.started.is_set()
        migration.may_continue.set()
        await migration.started.wait()


async def test_background_tasks_database_down_retries_migration(migration: FakeMigration) -> None:
    migration.may_continue.set()
    migration.error = DatabaseUnavailable()
    with capture_logs() as logs:
        async with background_tasks.run_background_tasks("", {"work": migration.work}):
            for _ in range(3):
                await migration.attempts.acquire()
            assert not migration.started.is_set()
            migration.error = None
            await migration.started.wait()
    assert [line["event"] for line in logs] == ["database.down_at_start", "database.migrated"]
    # Login errors are explained at the first attempt only; later attempts keep waiting.
    assert migration.were_first[:3] == [True, False, False]


async def test_background_tasks_newer_database_raises_configuration_error(
    migration: FakeMigration,
) -> None:
    migration.may_continue.set()
    migration.error = ConfigurationError("run that one")
    with pytest.raises(ConfigurationError):
        async with background_tasks.run_background_tasks("", {"work": migration.work}):
            pass
    assert not migration.started.is_set()

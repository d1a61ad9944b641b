"""How the work beside the application begins, whatever the database does."""

import asyncio

import pytest
from structlog.testing import capture_logs

from github_banners.api import api_service
from github_banners.errors import ConfigurationError, DatabaseUnavailable


class Tables:
    """A migration that hangs or fails until it is told to do better."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_go_on = asyncio.Event()
        self.error: Exception | None = None
        self.begun = asyncio.Event()
        self.attempts = asyncio.Semaphore(0)
        self.were_first: list[bool] = []
        monkeypatch.setattr(api_service, "migrate", self.migrate)
        monkeypatch.setattr(api_service, "_FIRST_ATTEMPT_TIMEOUT_SECONDS", 0.05)
        monkeypatch.setattr(api_service, "_MIGRATE_RETRY_SECONDS", 0.01)

    async def migrate(self, conninfo: str, *, explain_login_errors: bool) -> None:
        self.were_first.append(explain_login_errors)
        self.attempts.release()
        await self.may_go_on.wait()
        if self.error is not None:
            raise self.error

    async def work(self) -> None:
        self.begun.set()
        await asyncio.Event().wait()


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    return Tables(monkeypatch)


async def test_work_begins_when_the_tables_are_there(tables: Tables) -> None:
    tables.may_go_on.set()
    async with api_service._background_tasks("", {"work": tables.work}) as tasks:
        await tables.begun.wait()
        assert not [task for task in tasks if task.done()]
    assert all(task.cancelled() for task in tasks)


async def test_a_database_that_says_nothing_is_not_waited_for(tables: Tables) -> None:
    async with api_service._background_tasks("", {"work": tables.work}):
        assert not tables.begun.is_set()
        tables.may_go_on.set()
        await tables.begun.wait()


async def test_a_database_that_is_away_is_asked_again(tables: Tables) -> None:
    tables.may_go_on.set()
    tables.error = DatabaseUnavailable()
    with capture_logs() as logs:
        async with api_service._background_tasks("", {"work": tables.work}):
            for _ in range(3):
                await tables.attempts.acquire()
            assert not tables.begun.is_set()
            tables.error = None
            await tables.begun.wait()
    assert [one["event"] for one in logs] == ["database.down_at_start", "database.migrated"]
    # Who is refused later, by a database that was away, waits on.
    assert tables.were_first[:3] == [True, False, False]


async def test_a_database_of_the_future_ends_the_program(tables: Tables) -> None:
    tables.may_go_on.set()
    tables.error = ConfigurationError("run that one")
    with pytest.raises(ConfigurationError):
        async with api_service._background_tasks("", {"work": tables.work}):
            pass
    assert not tables.begun.is_set()

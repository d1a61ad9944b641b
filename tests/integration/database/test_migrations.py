"""Migrations of the database."""

import asyncio
import subprocess
import sys
from importlib import resources
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from github_banners.database import migrations
from github_banners.database.migrations import HEAD, go_back, migrate
from github_banners.database.migrations.versions import first_tables
from github_banners.errors import ConfigurationError, DatabaseUnavailable

pytestmark = pytest.mark.postgres


_INSERT_OWNER_WITH_BANNER = """
    insert into users (id, login, total_repos, original_repos, forked_repos, total_stars, total_forks,
        languages, version, fetched_at) values (1, 'Ada', 0, 0, 0, 0, 0, '{}', 1, now());
    insert into banners (owner_id, name, look, look_digest, version, storage_path, created_at,
        updated_at, last_requested_at) values (1, 'ada-dark', '{}', '', 1, 'x', now(), now(), now())
"""


def create_first_tables(conninfo: str) -> None:
    with psycopg.connect(conninfo) as conn:
        conn.execute(first_tables.TABLES)
        conn.execute("create table alembic_version (version_num varchar(32) primary key)")
        conn.execute("insert into alembic_version values ('0001')")
        conn.execute(_INSERT_OWNER_WITH_BANNER)


def tables(conninfo: str) -> set[str]:
    query = "select tablename from pg_tables where schemaname = 'public'"
    with psycopg.connect(conninfo) as conn:
        return {name for (name,) in conn.execute(query).fetchall()}


def revision(conninfo: str) -> list[tuple[str]]:
    with psycopg.connect(conninfo) as conn:
        return conn.execute("select version_num from alembic_version").fetchall()


async def test_migrate_creates_tables_and_can_be_repeated(empty_conninfo: str) -> None:
    await migrate(empty_conninfo)
    await migrate(empty_conninfo)
    expected = {"users", "logins", "repositories", "banners", "accounts", "alembic_version"}
    expected |= {"owner_data", "contribution_years", "forgotten_users", "removed_pictures"}
    expected |= {"denied_logins"}
    assert tables(empty_conninfo) == expected
    assert revision(empty_conninfo) == [(HEAD,)]


async def test_migrate_first_revision_is_upgraded_with_data(
    empty_conninfo: str,
) -> None:
    create_first_tables(empty_conninfo)
    await migrate(empty_conninfo)
    assert revision(empty_conninfo) == [(HEAD,)]
    with psycopg.connect(empty_conninfo) as conn:
        assert conn.execute("select name from banners").fetchall() == [("ada-dark",)]
        query = "select pg_get_indexdef('banners_unpublished'::regclass)"
        (index,) = conn.execute(query).fetchone() or ("",)
    assert "(publish_leased_until NULLS FIRST, id) WHERE" in index


async def test_migrate_from_first_version_ends_sessions_with_prepared_statements(
    empty_conninfo: str,
) -> None:
    create_first_tables(empty_conninfo)
    with psycopg.connect(empty_conninfo, application_name="github-banners") as session:
        session.execute("select name from banners", prepare=True)
        session.commit()
        await migrate(empty_conninfo)
        with pytest.raises(psycopg.errors.AdminShutdown):
            session.execute("select name from banners")


async def test_migrate_of_empty_database_keeps_sessions(empty_conninfo: str) -> None:
    with psycopg.connect(empty_conninfo, application_name="github-banners") as session:
        await migrate(empty_conninfo)
        assert session.execute("select name from banners").fetchall() == []


async def test_migrate_concurrently_in_one_process(empty_conninfo: str) -> None:
    await asyncio.gather(*(migrate(empty_conninfo) for _ in range(4)))
    assert revision(empty_conninfo) == [(HEAD,)]


def test_migrate_concurrently_in_several_processes(empty_conninfo: str) -> None:
    code = (
        "import asyncio, sys; from github_banners.database.migrations import migrate;"
        "asyncio.run(migrate(sys.argv[1]))"
    )
    command = [sys.executable, "-W", "error", "-c", code, empty_conninfo]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert revision(empty_conninfo) == [(HEAD,)]


def test_migrate_current_database_does_not_import_alembic(conninfo: str) -> None:
    code = (
        "import asyncio, sys; from github_banners.database.migrations import migrate;"
        "asyncio.run(migrate(sys.argv[1]));"
        "sys.exit(bool({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, conninfo], check=True)


async def test_migrate_newer_revision_raises(conninfo: str) -> None:
    with psycopg.connect(conninfo) as conn:
        conn.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(ConfigurationError, match="newer version"):
        await migrate(conninfo)


async def test_migrate_without_server_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate(f"host={tmp_path}")


def test_head_is_newest_revision() -> None:
    with resources.as_file(resources.files(migrations)) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_migrate_deadlock_with_a_running_service_is_tried_again(empty_conninfo: str) -> None:
    create_first_tables(empty_conninfo)
    async with await psycopg.AsyncConnection.connect(empty_conninfo) as service:
        # The migration is the one that notices the deadlock.
        await service.execute("set deadlock_timeout to '1min'")
        await service.execute("lock table repositories in row exclusive mode")
        migrating = asyncio.create_task(migrate(empty_conninfo))
        await wait_until_locked(empty_conninfo)
        # The migration holds `banners` and waits for `repositories`: this waits for the migration.
        await service.execute("select count(*) from banners")
        await service.commit()
        await migrating
    assert revision(empty_conninfo) == [(HEAD,)]


async def wait_until_locked(conninfo: str) -> None:
    query = "select count(*) from pg_locks where not granted and locktype = 'relation'"
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
        async with asyncio.timeout(30):
            while (await (await conn.execute(query)).fetchone()) == (0,):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("earlier", [f"{number:04}" for number in range(1, int(HEAD))])
async def test_go_back_each_revision_can_be_migrated_again(conninfo: str, earlier: str) -> None:
    with psycopg.connect(conninfo) as conn:
        conn.execute(_INSERT_OWNER_WITH_BANNER)
        conn.execute("update users set content_digest = 'digest'")
    await go_back(conninfo, earlier)
    assert revision(conninfo) == [(earlier,)]
    await migrate(conninfo)
    assert revision(conninfo) == [(HEAD,)]
    with psycopg.connect(conninfo) as conn:
        assert conn.execute("select name, needs from banners").fetchall() == [
            ("ada-dark", ["repositories"])
        ]
        # An earlier version may have saved the owner without a digest.
        digest = None if earlier < "0003" else b"digest"
        assert conn.execute("select content_digest from users").fetchall() == [(digest,)]


@pytest.mark.parametrize("wrong", ["0000", "9999", "x"])
async def test_go_back_unknown_revision_raises(conninfo: str, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{wrong}' is not an earlier revision"):
        await go_back(conninfo, wrong)
    assert revision(conninfo) == [(HEAD,)]


async def test_go_back_empty_database_raises(empty_conninfo: str) -> None:
    with pytest.raises(ConfigurationError, match="which is at none"):
        await go_back(empty_conninfo, "0002")

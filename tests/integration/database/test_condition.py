"""How a database is found to be, without anything being started or changed."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from github_banners.database import embedded_status
from github_banners.database.banners import insert_banner
from github_banners.database.connect import Database
from github_banners.database.embedded_binaries import MAJOR_VERSION
from github_banners.database.embedded_status import find_embedded_conninfo
from github_banners.database.server_info import (
    HEAD,
    count_rows_ahead,
    fetch_server_info,
    try_writing,
)
from github_banners.database.users import upsert_owners
from github_banners.errors import ConfigurationError, DatabaseUnavailable
from github_banners.options import BannerOptions
from tests.integration.database.samples import DAY, NOON, answer

pytestmark = pytest.mark.postgres


async def test_a_database_with_our_tables(conninfo: str) -> None:
    found = await fetch_server_info(conninfo)
    assert found.revision == HEAD
    assert found.version.startswith(str(found.major))
    assert found.problem is None
    assert not found.needs_migration


async def test_a_database_without_tables(empty_conninfo: str) -> None:
    found = await fetch_server_info(empty_conninfo)
    assert found.revision is None
    assert found.problem is None
    assert found.needs_migration


@pytest.mark.parametrize(("revision", "is_ahead"), [("9999", True), ("0000", False)])
async def test_a_database_of_another_version(conninfo: str, revision: str, is_ahead: bool) -> None:
    with psycopg.connect(conninfo) as conn:
        conn.execute("update alembic_version set version_num = %s", [revision])
    found = await fetch_server_info(conninfo)
    is_refused = found.problem is not None and "newer version" in found.problem
    assert (is_refused, found.needs_migration) == (is_ahead, not is_ahead)


async def test_nobody_answers_or_lets_us_in(conninfo: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await fetch_server_info(make_conninfo(host="127.0.0.1", port=1))
    assert "\n" not in str(caught.value)
    stranger = make_conninfo(conninfo, user="nobody_of_this_name")
    with pytest.raises(ConfigurationError, match="does not let 'nobody_of_this_name' in"):
        await fetch_server_info(stranger)
    with pytest.raises(DatabaseUnavailable):
        await fetch_server_info(stranger, explain_login_errors=False)


async def test_tables_that_are_not_ours_to_read(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("drop role if exists stranger")
        conn.execute("create role stranger login")
    try:
        found = await fetch_server_info(make_conninfo(conninfo, user="stranger"))
    finally:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute("drop role stranger")
    assert found.problem is not None
    assert "may not read and write alembic_version, banners" in found.problem


async def test_try_writing_leaves_nothing_and_names_a_read_only_database(conninfo: str) -> None:
    condition = await fetch_server_info(conninfo)
    await try_writing(conninfo, condition)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        assert conn.execute("select count(*) from users").fetchone() == (0,)
        name = SQL("alter database {} set default_transaction_read_only to on")
        conn.execute(name.format(Identifier(conn.info.dbname)))
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        await try_writing(conninfo, condition)


async def test_count_rows_ahead_counts_owners_and_banners(
    database: Database, conninfo: str
) -> None:
    async with database.transaction() as conn:
        await upsert_owners(conn, [answer(1), answer(2, at=NOON + 400 * DAY)])
        await insert_banner(
            conn, owner_id=1, options=BannerOptions(), names=["a"], now=NOON + 400 * DAY
        )
    condition = await fetch_server_info(conninfo)
    assert await count_rows_ahead(conninfo, condition, now=NOON) == 2
    assert await count_rows_ahead(conninfo, condition, now=NOON + 400 * DAY) == 0


async def test_the_embedded_server_while_it_runs(embedded_server: str, reachable_dir: Path) -> None:
    found = find_embedded_conninfo(reachable_dir / "embedded")
    assert found is not None
    assert (await fetch_server_info(found)).major == MAJOR_VERSION


def test_a_folder_without_a_server(tmp_path: Path) -> None:
    assert find_embedded_conninfo(tmp_path / "not-made") is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigurationError, match="no database"):
        find_embedded_conninfo(tmp_path)


def test_programs_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise ConfigurationError("not installed")

    monkeypatch.setattr(embedded_status, "find_package_dir", missing)
    with pytest.raises(ConfigurationError, match="not installed"):
        find_embedded_conninfo(tmp_path)

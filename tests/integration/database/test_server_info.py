"""Read-only checks of a database."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from github_banners.database import embedded
from github_banners.database.banners import insert_banner
from github_banners.database.connect import Database
from github_banners.database.embedded import find_embedded_conninfo
from github_banners.database.embedded_binaries import MAJOR_VERSION
from github_banners.database.server_info import (
    HEAD,
    count_rows_ahead,
    fetch_server_info,
    try_writing,
)
from github_banners.database.users import upsert_owners
from github_banners.errors import ConfigurationError, DatabaseUnavailable
from github_banners.options import BannerOptions
from tests.integration.database.samples import DAY, NOON, fetched_owner

pytestmark = pytest.mark.postgres


async def test_fetch_server_info_current_tables_are_fine(conninfo: str) -> None:
    server_info = await fetch_server_info(conninfo)
    assert server_info.revision == HEAD
    assert server_info.version.startswith(str(server_info.major))
    assert server_info.problem is None
    assert not server_info.needs_migration


async def test_fetch_server_info_empty_database_needs_migration(empty_conninfo: str) -> None:
    server_info = await fetch_server_info(empty_conninfo)
    assert server_info.revision is None
    assert server_info.problem is None
    assert server_info.needs_migration


@pytest.mark.parametrize(("revision", "is_ahead"), [("9999", True), ("0000", False)])
async def test_fetch_server_info_other_revision_is_detected(
    conninfo: str, revision: str, is_ahead: bool
) -> None:
    with psycopg.connect(conninfo) as conn:
        conn.execute("update alembic_version set version_num = %s", [revision])
    server_info = await fetch_server_info(conninfo)
    is_rejected = server_info.problem is not None and "newer version" in server_info.problem
    assert (is_rejected, server_info.needs_migration) == (is_ahead, not is_ahead)


async def test_fetch_server_info_refused_connection_raises(conninfo: str) -> None:
    with pytest.raises(DatabaseUnavailable) as error_info:
        await fetch_server_info(make_conninfo(host="127.0.0.1", port=1))
    assert "\n" not in str(error_info.value)
    unknown_user = make_conninfo(conninfo, user="nobody_of_this_name")
    with pytest.raises(ConfigurationError, match="rejects the user 'nobody_of_this_name'"):
        await fetch_server_info(unknown_user)
    with pytest.raises(DatabaseUnavailable):
        await fetch_server_info(unknown_user, explain_login_errors=False)


async def test_fetch_server_info_missing_privileges_are_reported(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("drop role if exists stranger")
        conn.execute("create role stranger login")
    try:
        server_info = await fetch_server_info(make_conninfo(conninfo, user="stranger"))
    finally:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute("drop role stranger")
    assert server_info.problem is not None
    assert "may not read and write alembic_version, banners" in server_info.problem


async def test_try_writing_rolls_back_and_reports_read_only_database(conninfo: str) -> None:
    server_info = await fetch_server_info(conninfo)
    await try_writing(conninfo, server_info)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        assert conn.execute("select count(*) from users").fetchone() == (0,)
        name = SQL("alter database {} set default_transaction_read_only to on")
        conn.execute(name.format(Identifier(conn.info.dbname)))
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        await try_writing(conninfo, server_info)


async def test_count_rows_ahead_counts_owners_and_banners(
    database: Database, conninfo: str
) -> None:
    async with database.transaction() as conn:
        await upsert_owners(conn, [fetched_owner(1), fetched_owner(2, fetched_at=NOON + 400 * DAY)])
        await insert_banner(
            conn, owner_id=1, options=BannerOptions(), names=["a"], now=NOON + 400 * DAY
        )
    server_info = await fetch_server_info(conninfo)
    assert await count_rows_ahead(conninfo, server_info, now=NOON) == 2
    assert await count_rows_ahead(conninfo, server_info, now=NOON + 400 * DAY) == 0


async def test_find_embedded_conninfo_running_server_is_found(
    embedded_server: str, reachable_dir: Path
) -> None:
    conninfo = find_embedded_conninfo(reachable_dir / "embedded")
    assert conninfo is not None
    assert (await fetch_server_info(conninfo)).major == MAJOR_VERSION


def test_find_embedded_conninfo_missing_folder_is_none(tmp_path: Path) -> None:
    assert find_embedded_conninfo(tmp_path / "not-made") is None
    assert list(tmp_path.iterdir()) == []


def test_find_embedded_conninfo_other_files_raise(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigurationError, match="not a database"):
        find_embedded_conninfo(tmp_path)


def test_find_embedded_conninfo_not_installed_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_not_installed() -> Path:
        raise ConfigurationError("not installed")

    monkeypatch.setattr(embedded, "find_package_dir", raise_not_installed)
    with pytest.raises(ConfigurationError, match="not installed"):
        find_embedded_conninfo(tmp_path)

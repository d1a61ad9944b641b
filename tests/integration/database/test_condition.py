"""How a database is found to be, without anything being started or changed."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from github_banners.database import condition
from github_banners.database.condition import find_embedded, inspect
from github_banners.database.embedded_files import MAJOR
from github_banners.database.migrations import HEAD
from github_banners.errors import DatabaseUnavailable, Misconfigured

pytestmark = pytest.mark.postgres


async def test_a_database_with_our_tables(conninfo: str) -> None:
    found = await inspect(conninfo)
    assert found.revision == HEAD
    assert found.version.startswith(str(found.major))
    assert not any([found.is_too_old, found.is_behind, found.is_ahead])


async def test_a_database_without_tables(empty_conninfo: str) -> None:
    found = await inspect(empty_conninfo)
    assert found.revision is None
    assert found.is_behind


@pytest.mark.parametrize(("revision", "is_ahead"), [("9999", True), ("0000", False)])
async def test_a_database_of_another_version(conninfo: str, revision: str, is_ahead: bool) -> None:
    with psycopg.connect(conninfo) as conn:
        conn.execute("update alembic_version set version_num = %s", [revision])
    found = await inspect(conninfo)
    assert (found.is_ahead, found.is_behind) == (is_ahead, not is_ahead)


async def test_nobody_answers_or_lets_us_in(conninfo: str) -> None:
    away = make_conninfo(host="127.0.0.1", port=1)
    for refused in (away, make_conninfo(conninfo, user="nobody_of_this_name")):
        with pytest.raises(DatabaseUnavailable) as caught:
            await inspect(refused)
        assert "\n" not in str(caught.value)


async def test_tables_that_are_not_ours_to_read(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("drop role if exists stranger")
        conn.execute("create role stranger login")
    try:
        with pytest.raises(DatabaseUnavailable, match="alembic_version"):
            await inspect(make_conninfo(conninfo, user="stranger"))
    finally:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute("drop role stranger")


async def test_the_embedded_server_while_it_runs(embedded_server: str, reachable_dir: Path) -> None:
    found = find_embedded(reachable_dir / "embedded")
    assert found is not None
    assert (await inspect(found)).major == MAJOR


def test_a_folder_without_a_server(tmp_path: Path) -> None:
    assert find_embedded(tmp_path / "not-made") is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(Misconfigured, match="no database"):
        find_embedded(tmp_path)


def test_programs_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise Misconfigured("not installed")

    monkeypatch.setattr(condition, "_package_folder", missing)
    with pytest.raises(Misconfigured, match="not installed"):
        find_embedded(tmp_path)

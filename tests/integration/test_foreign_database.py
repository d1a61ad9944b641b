"""The command on a PostgreSQL that it has not brought along: 15, the oldest that is promised to do."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx2
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.acceptance.processes import environment, run, running
from tests.integration.conftest import fresh_database

pytestmark = pytest.mark.postgres


@pytest.fixture
def settings(foreign_server: str) -> dict[str, str]:
    server = conninfo_to_dict(foreign_server)
    return {"DB_HOST": str(server["host"]), "POSTGRES_USER": "postgres"}


def test_serve_migrates_it_and_keeps_banners_there(
    foreign_server: str, settings: dict[str, str]
) -> None:
    with (
        fresh_database(foreign_server, template="template1") as conninfo,
        running("sandbox", "--port", "0") as github,
    ):
        name = str(conninfo_to_dict(conninfo)["dbname"])
        env = environment(PORT="0", POSTGRES_DB=name, GITHUB_API_URL=github.url, **settings)
        with running("serve", env=env) as served:
            made = httpx2.post(served.url + "/banners", json={"username": "mia-maintains"})
            assert made.status_code == 201
        with running("serve", env=env) as served:
            again = httpx2.post(served.url + "/banners", json={"username": "MIA-maintains"})
            assert (again.status_code, again.json()) == (200, made.json())
            assert served.get(made.json()["url"]).content.startswith(b"<svg")
        with psycopg.connect(conninfo) as connection:
            row = connection.execute("select count(*) from repositories").fetchone()
        assert row == (30,)


def test_many_may_migrate_at_once(foreign_server: str, settings: dict[str, str]) -> None:
    with fresh_database(foreign_server, template="template1") as conninfo:
        name = str(conninfo_to_dict(conninfo)["dbname"])
        env = environment(POSTGRES_DB=name, **settings)
        with ThreadPoolExecutor(4) as pool:
            ended = list(pool.map(lambda _: run("migrate", env=env), range(4)))
        assert [one.returncode for one in ended] == [0] * 4, [one.stderr for one in ended]
        with psycopg.connect(make_conninfo(conninfo)) as connection:
            assert connection.execute("select count(*) from users").fetchone() == (0,)


def test_without_the_extras_one_sentence_says_what_to_install() -> None:
    hide = "import sys; sys.modules['graphql'] = None; from github_banners.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", hide, "sandbox"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "github-banners[sandbox]" in ended.stderr
    assert "Traceback" not in ended.stderr

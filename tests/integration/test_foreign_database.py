"""The command on an external PostgreSQL server of version 15, the oldest supported one."""

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


def test_serve_migrates_database_and_keeps_banners(
    foreign_server: str, settings: dict[str, str]
) -> None:
    with (
        fresh_database(foreign_server, template="template1") as conninfo,
        running("sandbox", "--port", "0") as github,
    ):
        name = str(conninfo_to_dict(conninfo)["dbname"])
        env = environment(PORT="0", POSTGRES_DB=name, GITHUB_API_URL=github.url, **settings)
        with running("serve", env=env) as served:
            created = httpx2.post(served.url + "/banners", json={"username": "mia-maintains"})
            assert created.status_code == 201
        with running("serve", env=env) as served:
            again = httpx2.post(served.url + "/banners", json={"username": "MIA-maintains"})
            assert (again.status_code, again.json()) == (200, created.json())
            assert served.get(created.json()["url"]).content.startswith(b"<svg")
        with psycopg.connect(conninfo) as connection:
            row = connection.execute("select count(*) from repositories").fetchone()
        assert row == (30,)


def test_migrate_concurrent_commands_succeed(foreign_server: str, settings: dict[str, str]) -> None:
    with fresh_database(foreign_server, template="template1") as conninfo:
        name = str(conninfo_to_dict(conninfo)["dbname"])
        env = environment(POSTGRES_DB=name, **settings)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: run("migrate", env=env), range(4)))
        assert [result.returncode for result in results] == [0] * 4, [
            result.stderr for result in results
        ]
        with psycopg.connect(make_conninfo(conninfo)) as connection:
            assert connection.execute("select count(*) from users").fetchone() == (0,)


def test_sandbox_without_extras_says_what_to_install() -> None:
    code = "import sys; sys.modules['graphql'] = None; from github_banners.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "sandbox"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "in a checkout by pip install '.[sandbox]'" in result.stderr
    assert "Traceback" not in result.stderr

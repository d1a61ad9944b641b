"""
Rows that the service has not written: of a newer version, a damaged or a hand-edited database.

One such row fails alone: the other owners are refreshed and their banners published at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psycopg
import pytest

from github_banners.api.outbox import Outbox
from github_banners.api.refresh import Refresh
from github_banners.database import leases, users
from github_banners.database.banners import Banner, insert_banner
from github_banners.database.connect import Database
from github_banners.drawing import draw
from github_banners.errors import BannersError
from github_banners.models import Owner, OwnerRepositories, Snapshot, Stats
from github_banners.options import BannerOptions
from tests.acceptance.processes import environment, prepared_data_dir, running
from tests.acceptance.test_png import create_banner
from tests.field.test_database import conninfo, execute, fetch, server
from tests.integration.conftest import reachable_dir
from tests.integration.database.samples import HOUR, NOON, fetched_owner

pytestmark = pytest.mark.postgres

__all__ = ["conninfo", "reachable_dir", "server"]

BAD_OWNER = 7
OWNERS = range(1, 21)


def _times() -> Iterator[tuple[str, str]]:
    columns = {
        "users": ("fetched_at", "due_at", "leased_until", "gone_since"),
        "banners": ("created_at", "updated_at", "last_requested_at", "publish_leased_until"),
    }
    for table, names in columns.items():
        for name in names:
            for value in ("infinity", "-infinity"):
                yield table, f"{name} = '{value}'"


ROWS = [
    *_times(),
    ("users", "due_at = '4000-01-01 BC'"),
    ("banners", "created_at = '12000-01-01'"),
    ("users", "languages = '[]'"),
    ("users", "languages = 'null'"),
    ("users", """languages = '{"a": "b"}'"""),
    ("users", """languages = '{"a": 1e400}'"""),
    ("users", "languages = (repeat('[', 3000) || repeat(']', 3000))::json"),
    ("users", """languages = ('{"a": ' || repeat('9', 5000) || '}')::json"""),
    ("users", "version = 9223372036854775807"),
    ("users", "refresh_every = '100000000 years'"),
    ("users", r"login = E'\x1b[31m'"),
    ("users", "display_name = repeat('x', 5000000)"),
    ("banners", "version = 9223372036854775807"),
    ("banners", "storage_path = '../x'"),
    ("banners", "look = '[]'"),
    ("banners", """look = '{"type": "of tomorrow"}'"""),
    ("banners", """look = '{"radius": "round"}'"""),
    ("banners", "look = (repeat('[', 3000) || repeat(']', 3000))::jsonb"),
    ("banners", """look = ('{"radius": ' || repeat('9', 5000) || '}')::jsonb"""),
]


class SevenStarFetcher:
    """Responds with seven stars for each owner."""

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[OwnerRepositories | BannersError]:
        return [fetched_owner(owner.id, fetched_at=NOON + HOUR, stars=7)[0] for owner in owners]


@pytest.mark.parametrize(("table", "change"), ROWS, ids=[f"{row[0]}.{row[1][:40]}" for row in ROWS])
async def test_odd_row_fails_alone(conninfo: str, table: str, change: str) -> None:
    published: set[int] = set()

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        draw(snapshot, banner.options)
        published.add(banner.owner_id)

    async with Database(conninfo) as database:
        async with database.transaction() as conn:
            await users.upsert_owners(conn, [fetched_owner(number) for number in OWNERS], now=NOON)
            for number in OWNERS:
                await insert_banner(
                    conn,
                    owner_id=number,
                    options=BannerOptions(),
                    names=[f"b-{number}"],
                    now=NOON,
                )
            await leases.schedule_users(conn, OWNERS, now=NOON, interval=HOUR)
        column = {"users": "id", "banners": "owner_id"}[table]
        execute(conninfo, f"update {table} set {change} where {column} = {BAD_OWNER}")  # noqa: S608
        refresh = Refresh(
            database=database, github=SevenStarFetcher(), interval=HOUR, clock=lambda: NOON + HOUR
        )
        outbox = Outbox(database=database, publish=publish, clock=lambda: NOON + HOUR)
        assert await outbox.publish_batch() >= 19
        for _ in range(2):  # an owner with a due time ahead is leased last
            await refresh.refresh_batch()
        await refresh.record_requests({f"b-{number}": NOON + HOUR for number in OWNERS})
    assert published | {BAD_OWNER} == {*OWNERS}
    saved = fetch(conninfo, "select id from users where total_stars = 7")
    assert {row[0] for row in saved} | {BAD_OWNER} == {*OWNERS}


def test_banner_of_newer_version_keeps_its_last_drawing() -> None:
    with prepared_data_dir(demo=True) as folder:
        env = environment(PORT="0", DATA_DIR=str(folder))
        with running("serve", "--demo", env=env) as service:
            url = create_banner(service, username="mia-maintains")
            drawing = service.get(f"{url}.svg").content
            set_options(folder / "demo", '{"layout": "of tomorrow"}')
        with running("serve", "--demo", env=env) as service:
            response = service.get(f"{url}.svg")
            page = service.get(f"{url}/")
            numbers = service.get(f"{url}.json")
    assert (response.status_code, response.content) == (200, drawing)
    assert response.headers["cache-control"].startswith("public, max-age=30,")
    assert (page.status_code, "(@mia-maintains)" in page.text) == (200, True)
    assert (numbers.status_code, numbers.json()) == (503, {"error": "can't get preview"})


def set_options(socket_dir: Path, options: str) -> None:
    with psycopg.connect(host=str(socket_dir), user="postgres", dbname="postgres") as conn:
        conn.execute("update banners set look = %s", [options])

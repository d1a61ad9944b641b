"""
Whatever is down, an image proxy gets a picture in time; and all is well soon after.

Three services share a database: in `fresh` memory is new, in `soft` and `hard` it is too old after a
second. `-s` shows the table of what was measured; `FAULTS=long` lets every fault last half a minute,
and leaves the service's limits as they are.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.camo import Camo
from tests.acceptance.drills import (
    HEADING,
    Drill,
    Row,
    is_well,
    never_seen,
    nobody,
    post,
    preview,
    seconds_until,
)
from tests.acceptance.outages import GitHub, Postgres, full, small_disk
from tests.acceptance.processes import (
    Running,
    environment,
    processes_of,
    reachable_dir,
    running,
)

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]

IS_LONG = os.environ.get("FAULTS") == "long"
FAULT_SECONDS = 30 if IS_LONG else 2
REQUEST_SECONDS = 10 if IS_LONG else 3
WELL_SECONDS = 6.0
PAUSE_SECONDS = 70.0
KNOWN = "mia-maintains"
BANNER = f"/banners/{KNOWN}-default"
AGES = {"fresh": ("10m", "24h"), "soft": ("1s", "24h"), "hard": ("1s", "1s")}
# Those of one line take turns.
FAILURES = ("502,503", "html,half,drop", "timeout")
REFUSALS = ("401", "rate-limited")


@dataclass
class Scene:
    """Who can fail, and who must not."""

    github: GitHub
    postgres: Postgres
    services: dict[str, Running]
    settings: dict[str, str]
    camo: Camo
    rows: list[Row]
    _kept: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def fresh(self) -> Running:
        return self.services["fresh"]

    @property
    def remembered(self) -> list[str]:
        """Everything that memory knows, at every age."""
        return [
            url for one in self.services.values() for url in (preview(one, KNOWN), one.url + BANNER)
        ]

    def kept(self) -> str:
        """A user whom PostgreSQL knows, and `fresh` does not."""
        return f"dev-{next(self._kept)}"

    @contextmanager
    def late_service(self) -> Iterator[Running]:
        """A service that is started only now: its memory is empty."""
        with running("serve", env=environment(**self.settings)) as served:
            yield served


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """The table, shown at the end."""
    found: list[Row] = []
    yield found
    print("\n" + "\n".join([HEADING, *map(str, found)]))  # noqa: T201


@pytest.fixture(scope="module")
def camo() -> Iterator[Camo]:
    with Camo() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def scene(camo: Camo, rows: list[Row]) -> Iterator[Scene]:
    with reachable_dir() as folder, ExitStack() as stack:
        github, postgres = GitHub(), Postgres(folder)
        for one in (github, postgres):
            stack.callback(one.close)
            one.start()
        settings = {
            "PORT": "0",
            "DATA_DIR": str(folder),
            "GITHUB_API_URL": github.url,
            "GITHUB_TOKENS": "ghp_sandbox",
            "RATE_LIMIT_RPS": "1000",
            "REQUEST_TIMEOUT": f"{REQUEST_SECONDS}s",
            "LOG_FORMAT": "json",
            **postgres.settings,
        }
        services = {
            name: stack.enter_context(
                running("serve", env=environment(SOFT_TTL=soft, HARD_TTL=hard, **settings))
            )
            for name, (soft, hard) in AGES.items()
        }
        scene = Scene(github, postgres, services, settings, camo, rows)
        _fill(scene, folder)
        yield scene


def _fill(scene: Scene, folder: Path) -> None:
    """Let all know one user and one banner, and PostgreSQL some users more."""
    hard = scene.services["hard"]
    assert post(hard, KNOWN).status_code == 201
    assert all(one.shows_numbers for one in scene.camo.fetch_all(scene.remembered))
    urls = [preview(hard, f"dev-{number}") for number in range(1, 25)]
    assert all(one.shows_numbers for one in scene.camo.fetch_all(urls))
    stored = folder / "files" / "banners" / f"{KNOWN}-default.svg"
    seconds_until(stored.exists, limit=10)
    with psycopg.connect(scene.postgres.conninfo, autocommit=True) as database:

        def are_kept() -> bool:
            row = database.execute("select count(*) from users").fetchone()
            return row == (1 + len(urls),)

        seconds_until(are_kept, limit=10)


@pytest.mark.parametrize("failure", FAILURES)
def test_github_fails(scene: Scene, failure: str) -> None:
    # A question that hangs is given up only then, and asked again two seconds later.
    patience = REQUEST_SECONDS + 2 if failure == "timeout" else 0
    outage = scene.github.failing(failure)
    _without_github(scene, f"GitHub: {failure}", outage, well_within=WELL_SECONDS + patience)


def test_github_is_frozen(scene: Scene) -> None:
    _without_github(scene, "GitHub frozen", scene.github.frozen())


def test_github_is_gone(scene: Scene) -> None:
    _without_github(scene, "GitHub refuses connections", scene.github.killed())


def _without_github(
    scene: Scene,
    fault: str,
    outage: AbstractContextManager[None],
    *,
    well_within: float = WELL_SECONDS,
) -> None:
    fresh, stranger = scene.fresh, never_seen()
    drill = Drill(fault, scene.camo, seconds=FAULT_SECONDS)
    with outage:
        drill.expect_numbers(*scene.remembered, preview(fresh, scene.kept()))
        old = preview(scene.services["hard"], KNOWN)
        seconds_until(lambda: drill.expect_numbers(old)[0].is_dated, limit=5)
        drill.ask(preview(fresh, stranger), preview(fresh, nobody()))
        crowd = [preview(fresh, login) for login in (never_seen(), never_seen(), nobody())]
        drill.crowd(*scene.remembered, preview(fresh, stranger), *crowd)
        assert post(fresh, KNOWN).status_code == 200
        assert post(fresh, stranger).status_code == 503
    well_after = seconds_until(
        lambda: (
            is_well(fresh, scene.camo, stranger, never_seen())
            and is_well(scene.services["hard"], scene.camo, KNOWN)
        ),
        limit=well_within,
    )
    scene.rows.append(drill.row(well_after=well_after))


def test_postgresql_is_killed(scene: Scene) -> None:
    _without_postgres(scene, "PostgreSQL killed, then restarted", scene.postgres.killed())


def test_postgresql_is_frozen(scene: Scene) -> None:
    _without_postgres(scene, "PostgreSQL frozen", scene.postgres.frozen())


def _without_postgres(scene: Scene, fault: str, outage: AbstractContextManager[None]) -> None:
    fresh, stranger = scene.fresh, never_seen()
    drill = Drill(fault, scene.camo, seconds=FAULT_SECONDS)
    with outage:
        drill.expect_numbers(*scene.remembered)
        drill.expect_numbers(preview(fresh, scene.kept()), preview(fresh, stranger))
        [unknown] = drill.ask(preview(fresh, nobody()))
        assert unknown.words == "user doesn't exist"
        seen_never = [preview(fresh, never_seen()) for _ in range(5)]
        drill.crowd(*scene.remembered, *seen_never, preview(fresh, nobody()))
        assert post(fresh, stranger).status_code == 503
        assert fresh.get("/readyz").json() == {"status": "ready", "degraded": ["database"]}
    well_after = seconds_until(
        lambda: is_well(fresh, scene.camo, stranger, never_seen()), limit=WELL_SECONDS
    )
    scene.rows.append(drill.row(well_after=well_after))


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_started_without_github(scene: Scene, outage: str) -> None:
    away = getattr(scene.github, outage)()
    drill = Drill(f"started with GitHub {outage}", scene.camo, seconds=0)
    with ExitStack() as stack:
        with away:
            late = stack.enter_context(scene.late_service())
            drill.expect_numbers(late.url + BANNER, preview(late, KNOWN))
            drill.crowd(preview(late, never_seen()), preview(late, nobody()), late.url + BANNER)
        well_after = seconds_until(
            lambda: is_well(late, scene.camo, never_seen(), KNOWN), limit=WELL_SECONDS
        )
    scene.rows.append(drill.row(well_after=well_after))


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_started_without_postgresql(scene: Scene, outage: str) -> None:
    away = getattr(scene.postgres, outage)()
    drill = Drill(f"started with PostgreSQL {outage}", scene.camo, seconds=0)
    with ExitStack() as stack:
        with away:
            late = stack.enter_context(scene.late_service())
            drill.expect_numbers(late.url + BANNER, preview(late, KNOWN))
            drill.expect_numbers(preview(late, never_seen()))
            drill.crowd(preview(late, never_seen()), preview(late, nobody()), late.url + BANNER)
            assert post(late, KNOWN).status_code == 503
        well_after = seconds_until(
            lambda: is_well(late, scene.camo, never_seen(), KNOWN), limit=WELL_SECONDS
        )
    scene.rows.append(drill.row(well_after=well_after))


def test_everything_is_down(scene: Scene) -> None:
    drill = Drill("GitHub hangs, PostgreSQL killed; also started", scene.camo, seconds=0)
    with ExitStack() as stack:
        with scene.github.frozen(), scene.postgres.killed():
            drill.expect_numbers(*scene.remembered)
            late = stack.enter_context(scene.late_service())
            drill.expect_numbers(late.url + BANNER)
            strangers = [preview(late, login) for login in (KNOWN, never_seen(), nobody())]
            drill.crowd(*scene.remembered, *strangers, preview(scene.fresh, never_seen()))
            assert post(late, KNOWN).status_code == 503
            with scene.late_service() as another:
                drill.ask(preview(another, never_seen()))
                assert another.stop() == 0
        well_after = seconds_until(
            lambda: (
                is_well(late, scene.camo, never_seen(), KNOWN)
                and is_well(scene.fresh, scene.camo, never_seen(), KNOWN)
            ),
            limit=WELL_SECONDS,
        )
    scene.rows.append(drill.row(well_after=well_after))


def _embedded(scene: Scene, data_dir: Path) -> dict[str, str]:
    """A service with a PostgreSQL of its own."""
    own = {name: value for name, value in scene.settings.items() if "PG" not in name}
    own = {name: value for name, value in own.items() if not name.startswith(("DB_", "POSTGRES_"))}
    return {**own, "DATA_DIR": str(data_dir)}


def test_the_embedded_postgresql_dies(scene: Scene) -> None:
    drill = Drill("embedded PostgreSQL dies by itself", scene.camo, seconds=0)
    with reachable_dir() as folder:
        env = environment(**_embedded(scene, folder))
        with running("serve", env=env) as served:
            assert post(served, KNOWN).status_code == 201
            urls = [preview(served, KNOWN), served.url + BANNER]
            killed = 0
            for _ in range(3):
                killed = _server_pid(folder, other_than=killed)
                os.kill(killed, signal.SIGKILL)
                drill.expect_numbers(*urls, preview(served, never_seen()))
            drill.crowd(*urls, preview(served, never_seen()), preview(served, nobody()))
            well_after = seconds_until(
                lambda: is_well(served, scene.camo, KNOWN, never_seen()), limit=WELL_SECONDS
            )
            assert served.stop() == 0
        assert processes_of(folder) == []
        assert not [line for line in served.errors if "Traceback" in line]
    scene.rows.append(drill.row(well_after=well_after))


def test_the_disk_of_the_embedded_postgresql_is_full(scene: Scene) -> None:
    drill = Drill("disk full under the embedded PostgreSQL", scene.camo, seconds=0)
    with reachable_dir() as folder, small_disk(folder / "disk", size_bytes=160 << 20) as disk:
        env = environment(**_embedded(scene, disk))
        with running("serve", env=env) as served:
            assert post(served, KNOWN).status_code == 201
            urls = [preview(served, KNOWN), served.url + BANNER]
            with full(disk):
                drill.expect_numbers(*urls)
                strangers = [preview(served, never_seen()) for _ in range(40)]
                drill.expect_numbers(*strangers)
                # Without room it can't even start again.
                os.kill(_server_pid(disk), signal.SIGKILL)
                drill.expect_numbers(*urls, *strangers)
                drill.crowd(*urls, preview(served, nobody()))
            well_after = seconds_until(
                lambda: is_well(served, scene.camo, KNOWN, never_seen()), limit=WELL_SECONDS
            )
    scene.rows.append(drill.row(well_after=well_after))


def test_the_disk_of_the_banners_is_full(scene: Scene) -> None:
    drill = Drill("disk full under the banners", scene.camo, seconds=0)
    with reachable_dir() as folder, small_disk(folder / "disk", size_bytes=256 << 10) as disk:
        env = environment(BANNERS_STORAGE_URL=disk.as_uri(), **_embedded(scene, folder))
        with running("serve", env=env) as served:
            with full(disk):
                logins = [never_seen() for _ in range(3)]
                for login in logins:
                    assert post(served, login).status_code == 201
                drill.expect_numbers(*(f"{served.url}/banners/{one}-default" for one in logins))
                seconds_until(
                    lambda: any("outbox.waiting" in line for line in served.errors), limit=5
                )
            files = {f"{one}-default.svg" for one in logins}
            well_after = seconds_until(
                lambda: {one.name for one in disk.iterdir()} == {".locks", *files}, limit=10
            )
    scene.rows.append(drill.row(well_after=well_after))


def test_an_outage_is_told_in_a_few_lines(scene: Scene) -> None:
    """All of the above: one line for each time that something goes, and no alarm."""
    for service in scene.services.values():
        events = [json.loads(line) for line in service.errors]
        assert [one for one in events if one["level"] == "error"] == []
        told = Counter(one["event"] for one in events)
        assert 0 < told["database.down"] == told["database.up"]
        assert not [one for one in told if "." not in one or " " in one]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_github_refuses_everybody(scene: Scene, refusal: str) -> None:
    """It is not asked again for half a minute, or as long as it says; only the long run waits."""
    drill = Drill(f"GitHub: {refusal}", scene.camo, seconds=FAULT_SECONDS if IS_LONG else 0)
    with scene.late_service() as late:
        drill.expect_numbers(preview(late, KNOWN), late.url + BANNER)
        with scene.github.failing(refusal):
            drill.expect_numbers(preview(late, KNOWN), late.url + BANNER)
            drill.expect_numbers(preview(late, scene.kept()))
            drill.crowd(late.url + BANNER, preview(late, never_seen()), preview(late, nobody()))
            assert post(late, never_seen()).status_code == 503
        drill.expect_numbers(preview(late, KNOWN), preview(late, scene.kept()))
        well_after = None
        if IS_LONG and refusal == "401":
            well_after = seconds_until(
                lambda: is_well(late, scene.camo, never_seen(), KNOWN), limit=PAUSE_SECONDS
            )
    scene.rows.append(drill.row(well_after=well_after))


def _server_pid(data_dir: Path, *, other_than: int = 0) -> int:
    """Wait until the embedded server runs, and find its process."""
    note = data_dir / "postgresql" / "postmaster.pid"

    def status() -> list[str]:
        return note.read_text().split() if note.exists() else []

    def runs() -> bool:
        return status()[-1:] == ["ready"] and status()[0] != str(other_than)

    seconds_until(runs, limit=10)
    return int(status()[0])

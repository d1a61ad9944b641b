"""Api, renderer and storage as processes of their own: what a picture and a change go through."""

import asyncio
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx2
import psycopg
import pytest

from github_banners.database import users
from github_banners.messaging.events import TOPIC
from github_banners.messaging.producer import KafkaProducer
from github_banners.models import Owner, OwnerRepositories, Repository
from github_banners.stats.aggregation import aggregate
from tests.acceptance.camo import Camo
from tests.acceptance.drills import never_seen, post, preview, seconds_until
from tests.acceptance.estate import KEY, Estate, estate_at
from tests.acceptance.outages import frozen
from tests.acceptance.processes import reachable_dir, run

pytestmark = [pytest.mark.postgres, pytest.mark.kafka, pytest.mark.timeout(240)]

KNOWN = "mia-maintains"
NAME = f"{KNOWN}-default"
BANNER = f"/banners/{NAME}"
STOP_SECONDS = 10.0
BY_RENDERER = 'banners_drawn_total{whom="renderer"}'
BY_ITSELF = 'banners_drawn_total{whom="self"}'
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def camo() -> Iterator[Camo]:
    with Camo() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def estate() -> Iterator[Estate]:
    # Each banner has a line of its own at this level.
    with reachable_dir() as folder, estate_at(folder, LOG_LEVEL="debug") as there:
        there.start("storage", "renderer", "api", "api-2")
        assert post(there["api"], KNOWN).status_code == 201
        yield there


def change(estate: Estate, stars: int) -> int:
    """Commit another number of stars, as a refresh does; gives the new version of the banner."""
    return asyncio.run(_change(estate, stars))


async def _change(estate: Estate, stars: int) -> int:
    async with await psycopg.AsyncConnection.connect(estate.postgres.conninfo) as conn:
        found = await (
            await conn.execute("select id, display_name from users where login = %s", [KNOWN])
        ).fetchone()
        assert found is not None
        repositories = (Repository(1, "work", stars=stars, language="Python"),)
        owner = Owner(found[0], KNOWN, display_name=found[1])
        answer = OwnerRepositories(owner, repositories, datetime.now(UTC))
        await users.upsert_owners(conn, [(answer, aggregate(repositories))])
        row = await (
            await conn.execute("select version from banners where name = %s", [NAME])
        ).fetchone()
        assert row is not None
        return int(row[0])


def stars_shown(estate: Estate, name: str) -> int:
    numbers = estate[name].get(f"{BANNER}.json").json()
    return int(numbers["stats"]["total_stars"]) if "stats" in numbers else -1


def file_shows(estate: Estate, stars: int) -> bool:
    return b"<desc>%d star" % stars in (estate.files / f"{NAME}.svg").read_bytes()


def with_trace(estate: Estate, name: str, trace_id: str) -> list[str]:
    return [one["event"] for one in estate.events(name) if one.get("trace_id") == trace_id]


def test_check_asks_every_neighbour(estate: Estate) -> None:
    asked = run("check", env=estate.environment("api"))
    told = " ".join(asked.stdout.split())
    assert asked.returncode == 0, asked.stdout
    assert f"renderer {estate.address('renderer')} renders" in told
    assert f"storage {estate.address('storage')} can be read" in told
    assert f"Kafka {','.join(estate.broker.addresses)} has {TOPIC}" in told


def test_a_preview_is_drawn_by_the_renderer(estate: Estate, camo: Camo) -> None:
    before = estate.metric("api", BY_RENDERER)
    assert camo.fetch(preview(estate["api"], never_seen())).shows_numbers
    assert estate.metric("api", BY_RENDERER) == before + 1


def test_without_the_renderer_the_api_draws(estate: Estate, camo: Camo) -> None:
    before = estate.metric("api", BY_ITSELF)
    with estate.without("renderer"):
        fetches = [camo.fetch(preview(estate["api"], never_seen())) for _ in range(3)]
        assert all(one.shows_numbers for one in fetches)
        assert estate["api"].get("/readyz").json()["degraded"] == ["renderer"]
    assert estate.metric("api", BY_ITSELF) == before + 3
    seconds_until(lambda: _drawn_by_renderer(estate, camo), limit=10)


def test_a_renderer_that_hangs_costs_half_a_second_once(estate: Estate, camo: Camo) -> None:
    with frozen(estate["renderer"].process.pid):
        first = camo.fetch(preview(estate["api"], never_seen()))
        second = camo.fetch(preview(estate["api"], never_seen()))
    assert first.shows_numbers
    assert second.shows_numbers
    assert 0.5 <= first.seconds < 1.5
    assert second.seconds < 0.5
    seconds_until(lambda: _drawn_by_renderer(estate, camo), limit=10)


def _drawn_by_renderer(estate: Estate, camo: Camo) -> bool:
    before = estate.metric("api", BY_RENDERER)
    camo.fetch(preview(estate["api"], never_seen()))
    return estate.metric("api", BY_RENDERER) > before


def test_a_new_banner_is_stored_before_the_answer(estate: Estate) -> None:
    login = never_seen()
    assert post(estate["api"], login).status_code == 201
    assert (estate.files / f"{login}-default.svg").exists()
    assert post(estate["api-2"], login).status_code == 200


def test_a_new_banner_is_made_without_the_storage(estate: Estate, camo: Camo) -> None:
    login = never_seen()
    with estate.without("storage"):
        assert post(estate["api"], login).status_code == 201
        url = f"{estate['api'].url}/banners/{login}-default"
        assert camo.fetch(url).shows_numbers
    seconds_until((estate.files / f"{login}-default.svg").exists, limit=30)


def test_a_change_reaches_the_file_under_one_id(estate: Estate) -> None:
    version = change(estate, 432)
    seconds_until(lambda: file_shows(estate, 432), limit=20)

    def told() -> list[str]:
        return [
            one["trace_id"]
            for one in estate.events("api") + estate.events("api-2")
            if one["event"] == "outbox.handed_on" and one["version"] == version
        ]

    # A line may be read a moment after it was written.
    seconds_until(lambda: len(told()) == 1, limit=5)
    (trace_id,) = told()
    seconds_until(
        lambda: (
            "update.stored" in with_trace(estate, "renderer", trace_id)
            and "banner.stored" in with_trace(estate, "storage", trace_id)
        ),
        limit=5,
    )


def test_a_request_is_followed_under_its_own_id(estate: Estate) -> None:
    header = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    wish = {"username": never_seen()}
    made = httpx2.post(
        estate["api"].url + "/banners", json=wish, headers=header, timeout=10, trust_env=False
    )
    assert made.status_code == 201
    seconds_until(
        lambda: (
            "banner.made" in with_trace(estate, "api", TRACE)
            and "banner.stored" in with_trace(estate, "storage", TRACE)
        ),
        limit=5,
    )


def test_two_apis_differ_for_two_seconds_at_most(estate: Estate) -> None:
    for stars in (501, 502, 503):
        change(estate, stars)
        seen_at: dict[str, float] = {}
        while len(seen_at) < 2:
            for name in {"api", "api-2"} - seen_at.keys():
                if stars_shown(estate, name) == stars:
                    seen_at[name] = time.monotonic()
        assert max(seen_at.values()) - min(seen_at.values()) < 2.0


def test_the_stored_drawing_is_served_without_postgresql(estate: Estate, camo: Camo) -> None:
    change(estate, 777)
    seconds_until(lambda: file_shows(estate, 777), limit=20)
    estate.end("api-2")
    with estate.postgres.killed():
        estate.start("api-2")  # its memory is empty
        shown = camo.fetch(estate["api-2"].url + BANNER)
        assert shown.shows_numbers
        assert shown.words.startswith("777 stars")
    seconds_until(lambda: stars_shown(estate, "api-2") == 777, limit=20)


def test_the_key_is_changed_without_a_refusal(estate: Estate, camo: Camo) -> None:
    """The steps of docs/operations.md, one service after the other."""
    settings = dict(estate.settings)
    steps = [
        {"SERVICES_SECRET_KEY": KEY, "SERVICES_SECRET_KEY_PREVIOUS": "the new one"},
        {"SERVICES_SECRET_KEY": "the new one", "SERVICES_SECRET_KEY_PREVIOUS": KEY},
        {"SERVICES_SECRET_KEY": "the new one"},
    ]
    for step in steps:
        estate.settings = {**settings, **step}
        for name in ("api", "storage", "renderer"):
            estate.end(name)
            estate.start(name)
            if name != "api":
                seconds_until(lambda: _drawn_by_renderer(estate, camo), limit=10)
            assert post(estate["api"], never_seen()).status_code == 201
    estate.end("api-2")
    estate.start("api-2")
    refused = [one for one in estate.events("storage") if one["event"] == "gate.refused"]
    refused += [one for one in estate.events("renderer") if one["event"] == "gate.refused"]
    assert refused == []


def test_check_tells_which_neighbour_does_not_work(estate: Estate) -> None:
    env = {**estate.environment("api")}
    del env["LOG_LEVEL"]  # the services log more than the command does
    stranger = run("check", env={**env, "SERVICES_SECRET_KEY": "another"})
    assert stranger.returncode == 1
    assert stranger.stdout.count("signature refused") == 2
    swapped = {"RENDERER_BASE_URL": estate.address("storage")}
    swapped["STORAGE_BASE_URL"] = estate.address("renderer")
    crossed = run("check", env={**env, **swapped})
    assert crossed.stdout.count("does not work") == 2
    nowhere = {"RENDERER_BASE_URL": "http://127.0.0.1:1", "KAFKA_BROKERS_ADDRS": "127.0.0.1:1"}
    alone = run("check", env={**env, **nowhere})
    broken = [line.split()[0] for line in alone.stdout.splitlines() if "does not work" in line]
    assert (alone.returncode, broken) == (1, ["renderer", "Kafka"])
    assert (stranger.stderr, alone.stderr) == ("", "")


def test_what_can_never_work_is_set_aside_and_can_be_sent_again(estate: Estate) -> None:
    good = b'{"event_type":"github_banner_info_ready","event_version":1,"produced_at":null,'
    hopeless = {
        "no JSON": b"\xff{",
        "unknown version": good.replace(b":1,", b":2,") + b'"payload":{}}',
        "unknown type": good.replace(b"info_ready", b"exploded") + b'"payload":{}}',
        "missing fields": good + b'"payload":{"username":"a"}}',
        "a path that leaves": good
        + b'"payload":{"username":"a","banner_type":"dark","storage_path":"../evil","version":1,'
        b'"fetched_at":null,"stats":{"total_repos":1,"original_repos":1,"forked_repos":0,'
        b'"total_stars":1,"total_forks":0,"languages":{}}}}',
    }
    asyncio.run(_send(estate, list(hopeless.values())))
    change(estate, 888)
    seconds_until(lambda: file_shows(estate, 888), limit=30)
    env = estate.environment("renderer")
    seconds_until(
        lambda: len(run("dlq", "list", env=env).stdout.splitlines()) == len(hopeless), limit=30
    )
    told = run("dlq", "list", env=env).stdout
    assert "url_path" in told
    assert told.count("given up") == len(hopeless)
    assert not list(estate.folder.rglob("evil*"))
    replayed = run("dlq", "replay", env=env)
    assert replayed.stdout == f"{len(hopeless)} sent.\n"
    # They can work no better now, and come back.
    seconds_until(
        lambda: run("dlq", "list", env=env).stdout.count("given up") == len(hopeless), limit=30
    )
    assert run("dlq", "list", env=env).stdout.count("re-sent") == len(hopeless)


async def _send(estate: Estate, values: list[bytes]) -> None:
    producer = KafkaProducer(estate.broker.addresses)
    try:
        for value in values:
            await producer.send(TOPIC, key=KNOWN.encode(), value=value)
    finally:
        await producer.close()


def away(estate: Estate, name: str) -> set[str]:
    """Who did not answer a service the last time."""
    return set(estate[name].get("/readyz").json()["degraded"])


def test_without_a_broker_all_is_served_and_nothing_lost(estate: Estate, camo: Camo) -> None:
    estate.broker.kill()
    estate.end("api")
    estate.end("renderer")
    estate.start("api", "renderer")
    assert camo.fetch(preview(estate["api"], never_seen())).shows_numbers
    assert camo.fetch(estate["api"].url + BANNER).shows_numbers
    login = never_seen()
    assert post(estate["api"], login).status_code == 201
    change(estate, 999)
    # Whichever of the two has taken the change.
    seconds_until(lambda: "broker" in (away(estate, "api") | away(estate, "api-2")), limit=10)
    assert not file_shows(estate, 999)
    estate.broker.restart()
    seconds_until(lambda: file_shows(estate, 999), limit=60)
    seconds_until(lambda: not away(estate, "renderer"), limit=20)


@pytest.mark.parametrize("name", ["storage", "renderer", "api"])
def test_each_starts_alone_and_ends_in_time(name: str, camo: Camo) -> None:
    """Nothing of what it is told about is there."""
    with reachable_dir() as folder, estate_at(folder, migrate=False) as lonely:
        lonely.broker.kill()
        with lonely.postgres.killed(), lonely.github.killed():
            lonely.start(name)
            assert lonely[name].get("/healthz").json() == {"status": "alive"}
            assert lonely[name].get("/readyz").status_code == 200
            assert "banners_" in lonely[name].get("/metrics").text
            if name == "api":
                assert camo.fetch(preview(lonely[name], KNOWN)).is_picture
            begun = time.monotonic()
            assert lonely.end(name, signal.SIGTERM) == 0
            assert time.monotonic() - begun < STOP_SECONDS
            assert [one for one in lonely.events(name) if one["level"] == "error"] == []

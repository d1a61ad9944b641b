"""The api, renderer and storage as separate processes: previews, banners and changes."""

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
from github_banners.models import Owner, OwnerRepositories, Repository, aggregate
from tests.acceptance.breakable_backends import frozen
from tests.acceptance.deployment import KEY, Deployment, open_deployment, open_without_backends
from tests.acceptance.fault_checks import new_login, post_banner, preview_url, wait_until
from tests.acceptance.image_proxy import ImageProxy
from tests.acceptance.processes import reachable_dir, run

pytestmark = [pytest.mark.postgres, pytest.mark.kafka, pytest.mark.timeout(240)]

KNOWN = "mia-maintains"
NAME = f"{KNOWN}-default"
BANNER = f"/banners/{NAME}"
STOP_SECONDS = 10.0
BY_RENDERER = 'banners_drawn_total{by="renderer"}'
BY_ITSELF = 'banners_drawn_total{by="self"}'
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    # The log has a line for each banner at this level only.
    with reachable_dir() as folder, open_deployment(folder, LOG_LEVEL="debug") as deployment:
        deployment.start("storage", "renderer", "api", "api-2")
        assert post_banner(deployment["api"], KNOWN).status_code == 201
        yield deployment


def change(deployment: Deployment, stars: int) -> int:
    """Commit a new number of stars as a refresh does, and return the new version of the banner."""
    return asyncio.run(_change(deployment, stars))


async def _change(deployment: Deployment, stars: int) -> int:
    async with await psycopg.AsyncConnection.connect(deployment.postgres.conninfo) as conn:
        row = await (
            await conn.execute("select id, display_name from users where login = %s", [KNOWN])
        ).fetchone()
        assert row is not None
        repositories = (Repository(1, "work", stars=stars, language="Python"),)
        owner = Owner(row[0], KNOWN, display_name=row[1])
        fetched = OwnerRepositories(owner, repositories, datetime.now(UTC))
        await users.upsert_owners(conn, [(fetched, aggregate(repositories))])
        row = await (
            await conn.execute("select version from banners where name = %s", [NAME])
        ).fetchone()
        assert row is not None
        return int(row[0])


def stars_shown(deployment: Deployment, name: str) -> int:
    numbers = deployment[name].get(f"{BANNER}.json").json()
    return int(numbers["stats"]["total_stars"]) if "stats" in numbers else -1


def file_shows(deployment: Deployment, stars: int) -> bool:
    return b"<desc>%d star" % stars in (deployment.files / f"{NAME}.svg").read_bytes()


def with_trace(deployment: Deployment, name: str, trace_id: str) -> list[str]:
    return [
        event["event"] for event in deployment.events(name) if event.get("trace_id") == trace_id
    ]


def test_check_requests_every_service(deployment: Deployment) -> None:
    result = run("check", env=deployment.environment("api"))
    output = " ".join(result.stdout.split())
    assert result.returncode == 0, result.stdout
    assert f"renderer {deployment.address('renderer')} renders" in output
    assert f"storage {deployment.address('storage')} can be read" in output
    assert f"Kafka {','.join(deployment.broker.addresses)} has {TOPIC}" in output


def test_preview_is_drawn_by_renderer(deployment: Deployment, proxy: ImageProxy) -> None:
    before = deployment.metric("api", BY_RENDERER)
    assert proxy.fetch(preview_url(deployment["api"], new_login())).shows_numbers
    assert deployment.metric("api", BY_RENDERER) == before + 1


def test_preview_without_renderer_is_drawn_by_api(
    deployment: Deployment, proxy: ImageProxy
) -> None:
    before = deployment.metric("api", BY_ITSELF)
    with deployment.without("renderer"):
        fetches = [proxy.fetch(preview_url(deployment["api"], new_login())) for _ in range(3)]
        assert all(response.shows_numbers for response in fetches)
        assert deployment["api"].get("/readyz").json()["degraded"] == ["renderer"]
    assert deployment.metric("api", BY_ITSELF) == before + 3
    wait_until(lambda: _drawn_by_renderer(deployment, proxy), limit=60)


def test_hanging_renderer_delays_one_preview_by_half_a_second(
    deployment: Deployment, proxy: ImageProxy
) -> None:
    with frozen(deployment["renderer"].process.pid):
        first = proxy.fetch(preview_url(deployment["api"], new_login()))
        others = [proxy.fetch(preview_url(deployment["api"], new_login())) for _ in range(5)]
    assert all(response.shows_numbers for response in (first, *others))
    assert first.seconds >= 0.5
    # Once a second, one request tries the renderer again.
    assert min(response.seconds for response in others) < 0.5
    wait_until(lambda: _drawn_by_renderer(deployment, proxy), limit=60)


def _drawn_by_renderer(deployment: Deployment, proxy: ImageProxy) -> bool:
    before = deployment.metric("api", BY_RENDERER)
    proxy.fetch(preview_url(deployment["api"], new_login()))
    return deployment.metric("api", BY_RENDERER) > before


def test_new_banner_is_stored_before_response(deployment: Deployment) -> None:
    login = new_login()
    assert post_banner(deployment["api"], login).status_code == 201
    assert (deployment.files / f"{login}-default.svg").exists()
    assert post_banner(deployment["api-2"], login).status_code == 200


def test_new_banner_without_storage_is_created(deployment: Deployment, proxy: ImageProxy) -> None:
    login = new_login()
    with deployment.without("storage"):
        assert post_banner(deployment["api"], login).status_code == 201
        url = f"{deployment['api'].url}/banners/{login}-default"
        assert proxy.fetch(url).shows_numbers
    wait_until((deployment.files / f"{login}-default.svg").exists, limit=60)


def test_change_reaches_file_with_one_trace_id(deployment: Deployment) -> None:
    version = change(deployment, 432)
    wait_until(lambda: file_shows(deployment, 432), limit=60)

    def trace_ids() -> list[str]:
        return [
            event["trace_id"]
            for event in deployment.events("api") + deployment.events("api-2")
            if event["event"] == "outbox.banner_published" and event["version"] == version
        ]

    # The line may not have been read yet.
    wait_until(lambda: len(trace_ids()) == 1, limit=60)
    (trace_id,) = trace_ids()
    wait_until(
        lambda: (
            "update.stored" in with_trace(deployment, "renderer", trace_id)
            and "banner.stored" in with_trace(deployment, "storage", trace_id)
        ),
        limit=60,
    )


def test_request_keeps_its_trace_id_in_all_services(deployment: Deployment) -> None:
    header = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    body = {"username": new_login()}
    response = httpx2.post(
        deployment["api"].url + "/banners", json=body, headers=header, timeout=30, trust_env=False
    )
    assert response.status_code == 201
    wait_until(
        lambda: (
            "banner.created" in with_trace(deployment, "api", TRACE)
            and "banner.stored" in with_trace(deployment, "storage", TRACE)
        ),
        limit=60,
    )


def test_two_apis_agree_within_two_seconds(deployment: Deployment) -> None:
    for stars in (501, 502, 503):
        change(deployment, stars)
        seen_at: dict[str, float] = {}
        while len(seen_at) < 2:
            for name in {"api", "api-2"} - seen_at.keys():
                if stars_shown(deployment, name) == stars:
                    seen_at[name] = time.monotonic()
        assert max(seen_at.values()) - min(seen_at.values()) < 2.0


def test_stored_drawing_without_postgresql_is_served(
    deployment: Deployment, proxy: ImageProxy
) -> None:
    change(deployment, 777)
    wait_until(lambda: file_shows(deployment, 777), limit=60)
    deployment.end("api-2")
    with deployment.postgres.killed():
        deployment.start("api-2")  # its cache is empty
        shown = proxy.fetch(deployment["api-2"].url + BANNER)
        assert shown.shows_numbers
        assert shown.description.startswith("777 stars")
    wait_until(lambda: stars_shown(deployment, "api-2") == 777, limit=60)


def test_forgotten_user_is_gone_everywhere_and_does_not_come_back(deployment: Deployment) -> None:
    login, env = new_login(), deployment.environment("api")
    file, path = deployment.files / f"{login}-default.svg", f"/banners/{login}-default"
    assert post_banner(deployment["api"], login).status_code == 201
    assert deployment["api-2"].get(path).status_code == 200
    with deployment.without("renderer"):
        # A change that is published, and waits in Kafka until the renderer is back.
        query = "update banners set version = version + 1 where name = %s returning version"
        with psycopg.connect(deployment.postgres.conninfo, autocommit=True) as conn:
            row = conn.execute(query, [f"{login}-default"]).fetchone()
            query = "select published_version from banners where name = %s"
            wait_until(
                lambda: conn.execute(query, [f"{login}-default"]).fetchone() == row, limit=60
            )
        with deployment.without("storage"):
            unfinished = run("forget", login, "--yes", env=env)
        assert unfinished.returncode == 1
        assert "Not removed yet: 1 picture," in unfinished.stderr
        for name in ("api", "api-2"):
            wait_until(lambda name=name: deployment[name].get(path).status_code == 404, limit=60)  # type: ignore[misc]
        finished = run("forget", login, "--yes", env=env)
        assert (finished.returncode, finished.stderr) == (0, "")
        assert ": 1 picture." in finished.stdout
        assert "Kafka" in finished.stdout
    removed = file.read_bytes()
    assert b"<!-- removed at version " in removed
    # The event of a later change shows that the one before was processed.
    change(deployment, 654)
    wait_until(lambda: file_shows(deployment, 654), limit=60)
    wait_until(
        lambda: any(
            event["event"] == "banner.superseded" and event["url"] == path
            for event in deployment.events("storage")
        ),
        limit=60,
    )
    assert file.read_bytes() == removed


def test_key_rotation_refuses_no_request(deployment: Deployment, proxy: ImageProxy) -> None:
    """Follow the steps of docs/operations.md, one service after the other."""
    settings = dict(deployment.settings)
    steps = [
        {"SERVICES_SECRET_KEY": KEY, "SERVICES_SECRET_KEY_PREVIOUS": "the new key"},
        {"SERVICES_SECRET_KEY": "the new key", "SERVICES_SECRET_KEY_PREVIOUS": KEY},
        {"SERVICES_SECRET_KEY": "the new key"},
    ]
    for step in steps:
        deployment.settings = {**settings, **step}
        for name in ("api", "storage", "renderer"):
            deployment.end(name)
            deployment.start(name)
            if name != "api":
                wait_until(lambda: _drawn_by_renderer(deployment, proxy), limit=60)
            assert post_banner(deployment["api"], new_login()).status_code == 201
    deployment.end("api-2")
    deployment.start("api-2")
    refused = [
        event for event in deployment.events("storage") if event["event"] == "signature.refused"
    ]
    refused += [
        event for event in deployment.events("renderer") if event["event"] == "signature.refused"
    ]
    assert refused == []


def test_check_names_failing_service(deployment: Deployment) -> None:
    env = {**deployment.environment("api")}
    del env["LOG_LEVEL"]  # the services log more than the command does
    result = run("check", env={**env, "SERVICES_SECRET_KEY": "another"})
    assert result.returncode == 1
    assert result.stdout.count("signature refused") == 2
    swapped = {"RENDERER_BASE_URL": deployment.address("storage")}
    swapped["STORAGE_BASE_URL"] = deployment.address("renderer")
    crossed = run("check", env={**env, **swapped})
    assert crossed.stdout.count("does not work") == 2
    nowhere = {"RENDERER_BASE_URL": "http://127.0.0.1:1", "KAFKA_BROKERS_ADDRS": "127.0.0.1:1"}
    alone = run("check", env={**env, **nowhere})
    broken = [line.split()[0] for line in alone.stdout.splitlines() if "does not work" in line]
    assert (alone.returncode, broken) == (1, ["renderer", "Kafka"])
    assert (result.stderr, alone.stderr) == ("", "")


def test_permanent_failure_is_dead_lettered_and_can_be_replayed(deployment: Deployment) -> None:
    good = b'{"event_type":"github_banner_info_ready","event_version":1,"produced_at":null,'
    invalid = {
        "no JSON": b"\xff{",
        "unknown version": good.replace(b":1,", b":2,") + b'"payload":{}}',
        "unknown type": good.replace(b"info_ready", b"exploded") + b'"payload":{}}',
        "missing fields": good + b'"payload":{"username":"a"}}',
        "a path that leaves": good
        + b'"payload":{"username":"a","banner_type":"dark","storage_path":"../evil","version":1,'
        b'"fetched_at":null,"stats":{"total_repos":1,"original_repos":1,"forked_repos":0,'
        b'"total_stars":1,"total_forks":0,"languages":{}}}}',
    }
    asyncio.run(_send(deployment, list(invalid.values())))
    change(deployment, 888)
    wait_until(lambda: file_shows(deployment, 888), limit=60)
    env = deployment.environment("renderer")
    wait_until(
        lambda: len(run("dlq", "list", env=env).stdout.splitlines()) == len(invalid), limit=60
    )
    output = run("dlq", "list", env=env).stdout
    assert "url_path" in output
    assert output.count("dead") == len(invalid)
    assert not list(deployment.folder.rglob("evil*"))
    replayed = run("dlq", "replay", env=env)
    assert replayed.stdout == f"Replayed: {len(invalid)}.\n"
    # They fail again, and are dead-lettered again.
    wait_until(lambda: run("dlq", "list", env=env).stdout.count("dead") == len(invalid), limit=60)
    assert run("dlq", "list", env=env).stdout.count("replayed") == len(invalid)


async def _send(deployment: Deployment, values: list[bytes]) -> None:
    producer = KafkaProducer(deployment.broker.addresses)
    try:
        for value in values:
            await producer.send(TOPIC, key=KNOWN.encode(), value=value)
    finally:
        await producer.close()


def get_degraded(deployment: Deployment, name: str) -> set[str]:
    """Return the backends that a service reports as degraded."""
    return set(deployment[name].get("/readyz").json()["degraded"])


def test_changes_without_broker_are_served_and_published_later(
    deployment: Deployment, proxy: ImageProxy
) -> None:
    # The renderer leaves its group first: a member that can't is replaced after its session only.
    deployment.end("api")
    deployment.end("renderer")
    deployment.broker.kill()
    deployment.start("api", "renderer")
    assert proxy.fetch(preview_url(deployment["api"], new_login())).shows_numbers
    assert proxy.fetch(deployment["api"].url + BANNER).shows_numbers
    login = new_login()
    assert post_banner(deployment["api"], login).status_code == 201
    change(deployment, 999)
    # Either api may have published the change.
    wait_until(
        lambda: "broker" in (get_degraded(deployment, "api") | get_degraded(deployment, "api-2")),
        limit=60,
    )
    assert not file_shows(deployment, 999)
    deployment.broker.restart()
    wait_until(lambda: file_shows(deployment, 999), limit=60)
    wait_until(lambda: not get_degraded(deployment, "renderer"), limit=60)


@pytest.mark.parametrize("name", ["storage", "renderer", "api"])
def test_service_starts_alone_and_stops_in_time(name: str, proxy: ImageProxy) -> None:
    """All backends are down."""
    with reachable_dir() as folder, open_without_backends(folder) as deployment:
        deployment.start(name)
        assert deployment[name].get("/healthz").json() == {"status": "alive"}
        assert deployment[name].get("/readyz").status_code == 200
        assert "banners_" in deployment[name].get("/metrics").text
        if name == "api":
            assert proxy.fetch(preview_url(deployment[name], KNOWN)).is_picture
        started = time.monotonic()
        assert deployment.end(name, signal.SIGTERM) == 0
        assert time.monotonic() - started < STOP_SECONDS
        assert [event for event in deployment.events(name) if event["level"] == "error"] == []

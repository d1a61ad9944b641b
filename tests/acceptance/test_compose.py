"""
`docker compose up --build`, really: every service killed and paused while a proxy asks for pictures.

Not part of `./run_tests.sh`: it needs a Docker engine, and takes ten minutes. `make compose-test`
runs it and prints the table.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from threading import Event, Thread

import httpx2
import pytest
import yaml

from tests.acceptance.camo import Camo, Fetch
from tests.acceptance.drills import HEADING, PICTURE_SECONDS, Row, never_seen, seconds_until
from tests.acceptance.processes import reachable_dir
from tests.acceptance.stack import Stack, copy_checkout, require_engine, stack_at

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

KNOWN = "mia-maintains"
BANNER = f"/banners/{KNOWN}-default"
ASKS_PER_SECOND = 20
PAUSE_SECONDS = 20.0
BACK_SECONDS = 60.0
GATEWAY_BACK_SECONDS = 5.0
# Its PostgreSQL starts as root, its tables have version 0002.
OLDER_COMMIT = "e3ea68aa315dbd437dd6c7dcd9e45501278821d6"
TABLES_VERSION = "select version_num from alembic_version"
COLLATION_OF_NAMES = """
    select collname from pg_attribute join pg_collation on pg_collation.oid = attcollation
    where attrelid = 'banners'::regclass and attname = 'name'
"""
SERVICES = ("api", "renderer", "storage", "kafka", "api-psgr")


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """The table, shown at the end."""
    found: list[Row] = []
    yield found
    print("\n" + "\n".join([HEADING, *map(str, found)]))  # noqa: T201


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with reachable_dir() as folder, stack_at(folder) as there:
        begun = time.monotonic()
        there.compose("build", minutes=15)
        built = time.monotonic()
        there.up()
        up = time.monotonic()
        print(f"\nbuild {built - begun:.0f} s, up {up - built:.0f} s")  # noqa: T201
        assert make(there, KNOWN).status_code == 201
        yield there


@pytest.fixture(scope="module")
def camo() -> Iterator[Camo]:
    with Camo(parallel=100) as proxy:
        yield proxy


def make(stack: Stack, login: str) -> httpx2.Response:
    wish = {"username": login}
    return httpx2.post(stack.url + "/banners", json=wish, timeout=25, trust_env=False)


def preview(stack: Stack, login: str) -> str:
    return f"{stack.url}/banners/preview?username={login}"


class Proxy:
    """Asks 20 times a second for a cached banner, for one that no cache has, and for a new one."""

    def __init__(self, stack: Stack, camo: Camo) -> None:
        self._stack = stack
        self._camo = camo
        self._busters = count(1)
        self.fetches: list[Fetch] = []

    @contextmanager
    def asking(self) -> Iterator[None]:
        stop = Event()
        thread = Thread(target=self._ask, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _ask(self, stop: Event) -> None:
        kinds: Iterator[Callable[[], str]] = cycle(
            (
                lambda: self._stack.url + BANNER,
                lambda: f"{self._stack.url}{BANNER}?x={next(self._busters)}",
                lambda: preview(self._stack, never_seen()),
            )
        )
        with ThreadPoolExecutor(100) as pool:
            asked: list[Future[Fetch]] = []
            while not stop.wait(1 / ASKS_PER_SECOND):
                asked.append(pool.submit(self._camo.fetch, next(kinds)()))
            self.fetches += [one.result() for one in asked]


def behind(stack: Stack) -> list[str]:
    """The banners whose newest version has not been stored."""
    rows = stack.sql("select name, version from banners where is_active")
    command = "grep -aoH 'version [0-9]*' /data/banners/*.svg"
    told = stack.compose("exec", "-T", "storage", "sh", "-c", command).splitlines()
    kept = {line.partition(".svg:")[0].rpartition("/")[2]: line.rpartition(" ")[2] for line in told}
    return [name for name, version in rows if kept.get(name) != version]


def change_all(stack: Stack) -> None:
    """Raise the version of every banner, as a refresh that found news does."""
    stack.sql("update banners set version = version + 1")


def endure(
    stack: Stack,
    camo: Camo,
    rows: list[Row],
    fault: str,
    happen: Callable[[], None],
    *,
    is_back: Callable[[], bool],
    back_within: float = BACK_SECONDS,
) -> None:
    proxy = Proxy(stack, camo)
    with proxy.asking():
        time.sleep(1)
        happen()
        back_after = seconds_until(is_back, limit=back_within)
        time.sleep(2)
    rows.append(_to_row(fault, proxy, back_after))
    change_all(stack)
    seconds_until(lambda: not behind(stack), limit=BACK_SECONDS)


def _to_row(fault: str, proxy: Proxy, well_after: float) -> Row:
    """Sum up what the proxy got; a broken picture fails the test."""
    broken = [fetch for fetch in proxy.fetches if not _is_good(fetch)]
    slowest = max(fetch.seconds for fetch in proxy.fetches)
    row = Row(fault, len(proxy.fetches), len(broken), slowest, well_after)
    assert not broken, f"{row}\n" + "\n".join(map(str, broken[:10]))
    return row


def _is_good(fetch: Fetch) -> bool:
    return fetch.is_picture and fetch.seconds <= PICTURE_SECONDS


def all_is_well(stack: Stack, camo: Camo) -> bool:
    if not all(stack.is_well(service) for service in SERVICES):
        return False
    return camo.fetch(preview(stack, never_seen())).shows_numbers


@pytest.mark.parametrize("override", [[], ["-f", "deploy/compose.zookeeper.yaml"]])
def test_compose_config_is_valid(override: list[str], tmp_path: Path) -> None:
    require_engine()
    copy_checkout(tmp_path)
    shutil.copy2(tmp_path / "api/.env.example", tmp_path / "api/.env")
    shutil.copy2(tmp_path / ".env.example", tmp_path / ".env")
    done = subprocess.run(
        ["docker", "compose", "-f", "docker-compose.yaml", *override, "config"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    services = yaml.safe_load(done.stdout)["services"]
    assert ("zookeeper" in services) is bool(override)
    if override:
        assert services["kafka"]["environment"]["KAFKA_ZOOKEEPER_CONNECT"] == "zookeeper:2181"
        assert "KAFKA_PROCESS_ROLES" not in services["kafka"]["environment"]


# Runs before `stack` is made: both build the image `github-banners`.
def test_upgrade_of_filled_volumes_keeps_every_banner(camo: Camo, rows: list[Row]) -> None:
    with reachable_dir() as folder, stack_at(folder, commit=OLDER_COMMIT) as stack:
        stack.compose("build", minutes=15)
        stack.up()
        logins = [KNOWN, *(never_seen() for _ in range(20))]
        assert [make(stack, login).status_code for login in logins] == [201] * len(logins)
        seconds_until(lambda: not behind(stack), limit=BACK_SECONDS)
        assert stack.sql(TABLES_VERSION) == [["0002"]]
        banners = stack.sql("select id, name, owner_id, created_at from banners order by id")
        assert len(banners) == len(logins)

        copy_checkout(folder)
        proxy = Proxy(stack, camo)
        with proxy.asking():
            began = time.monotonic()
            stack.run_documented("Upgrade without a gap")
            seconds = time.monotonic() - began
        rows.append(_to_row("upgrade of an older version", proxy, seconds))
        stack.up()

        assert (
            stack.sql("select id, name, owner_id, created_at from banners order by id") == banners
        )
        assert stack.sql(TABLES_VERSION) == [["0003"]]
        assert stack.sql(COLLATION_OF_NAMES) == [["C"]]
        owner = "id -un && stat -c %U /var/lib/postgresql/data"
        users = stack.compose("exec", "-T", "api-psgr", "sh", "-c", owner)
        assert users.split() == ["postgres", "postgres"]
        for _, name, *_ in banners:
            fetch = camo.fetch(f"{stack.url}/banners/{name}?x=upgraded")
            assert fetch.shows_numbers, fetch
        change_all(stack)
        seconds_until(lambda: not behind(stack), limit=BACK_SECONDS)


def test_only_the_gateway_is_published(stack: Stack) -> None:
    assert httpx2.get(stack.url + "/healthz", trust_env=False).json() == {"status": "alive"}
    for path in ("/metrics", "/readyz", "/preview", "/anything"):
        assert httpx2.get(stack.url + path, trust_env=False).status_code == 404
    for service in SERVICES:
        ports = stack.inspect(stack.containers(service)[0])["NetworkSettings"]["Ports"]
        assert not [one for one in ports.values() if one], service


def test_a_service_has_no_rights_and_no_secret_that_it_does_not_need(stack: Stack) -> None:
    for service in ("api", "renderer", "storage"):
        (container,) = stack.containers(service)
        found = stack.inspect(container)
        assert found["HostConfig"]["ReadonlyRootfs"]
        assert found["HostConfig"]["CapDrop"] == ["ALL"]
        assert stack.compose("exec", "-T", service, "id", "-u").strip() == "10001"
        told = dict(one.partition("=")[::2] for one in found["Config"]["Env"])
        needs = service == "api"
        assert bool(told["GITHUB_TOKENS"]) is bool(told["POSTGRES_PASSWORD"]) is needs
        assert told["SERVICES_SECRET_KEY"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_killed(stack: Stack, camo: Camo, rows: list[Row], service: str) -> None:
    before = stack.starts(service)
    endure(
        stack,
        camo,
        rows,
        f"{service}: kill -9 of the main process",
        lambda: stack.kill(service),
        is_back=lambda: stack.starts(service) != before and all_is_well(stack, camo),
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_paused(stack: Stack, camo: Camo, rows: list[Row], service: str) -> None:
    def happen() -> None:
        with stack.paused(service):
            time.sleep(PAUSE_SECONDS)

    endure(
        stack,
        camo,
        rows,
        f"{service}: paused for {PAUSE_SECONDS:.0f} s",
        happen,
        is_back=lambda: all_is_well(stack, camo),
    )


def test_the_gateway_is_back_soon(stack: Stack, camo: Camo) -> None:
    assert camo.fetch(stack.url + BANNER).is_picture
    stack.kill("gateway")
    seconds = seconds_until(
        lambda: camo.fetch(stack.url + BANNER).is_picture, limit=GATEWAY_BACK_SECONDS
    )
    print(f"the gateway is back after {seconds:.1f} s")  # noqa: T201


def test_it_scales(stack: Stack, camo: Camo) -> None:
    stack.up("--scale", "api=2", "--scale", "renderer=3")
    assert len(stack.containers("api")) == 2
    logins = [never_seen() for _ in range(40)]
    for login in logins:
        assert make(stack, login).status_code == 201

    def share_the_work() -> bool:
        change_all(stack)
        stored = [
            sum(one["count"] for one in events if one["event"] == "updates.stored")
            for events in stack.events("renderer").values()
        ]
        made = [
            sum(one["event"] == "banner.made" for one in events)
            for events in stack.events("api").values()
        ]
        return bool(min(stored) and min(made))

    seconds_until(share_the_work, limit=BACK_SECONDS)
    seconds_until(lambda: not behind(stack), limit=BACK_SECONDS)
    stack.up("--scale", "api=1", "--scale", "renderer=1")


def test_down_and_up_keep_everything(stack: Stack, camo: Camo) -> None:
    banners = stack.sql("select count(*) from banners")
    begun = time.monotonic()
    stack.compose("down")
    down = time.monotonic()
    stack.up()
    print(f"down {down - begun:.0f} s, up again {time.monotonic() - down:.0f} s")  # noqa: T201
    assert stack.sql("select count(*) from banners") == banners
    assert camo.fetch(stack.url + BANNER).shows_numbers
    assert behind(stack) == []
    stack.compose("down", "--volumes")
    stack.up()
    assert stack.sql("select count(*) from banners") == [["0"]]


def test_a_well_known_secret_is_refused(stack: Stack) -> None:
    stack.compose("down")
    settings = stack.folder / "api/.env"
    kept = settings.read_text()
    try:
        settings.write_text(kept + "\nSERVICES_SECRET_KEY=your_secret_key\n")
        with pytest.raises(AssertionError):
            stack.up()
        told = stack.compose("logs", "migrate")
        assert "SERVICES_SECRET_KEY is a well-known secret" in told
        assert "make secrets" in told
        assert stack.compose("ps", "--quiet", "--status", "running", "api") == ""
    finally:
        settings.write_text(kept)

"""
`docker compose up --build` with every service killed and paused while a proxy requests pictures.

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

from github_banners.database.migrations import HEAD
from tests.acceptance.compose_stack import (
    ComposeStack,
    copy_checkout,
    export_commit,
    open_compose_stack,
    require_docker,
)
from tests.acceptance.fault_checks import Row, is_in_time, new_login, wait_until
from tests.acceptance.image_proxy import ImageProxy, ProxyResponse
from tests.acceptance.processes import reachable_dir

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

KNOWN = "mia-maintains"
BANNER = f"/banners/{KNOWN}-default"
REQUESTS_PER_SECOND = 20
PAUSE_SECONDS = 20.0
BACK_SECONDS = 60.0
GATEWAY_BACK_SECONDS = 5.0
# In this version PostgreSQL starts as root, and the tables have version 0002.
OLDER_COMMIT = "e3ea68aa315dbd437dd6c7dcd9e45501278821d6"
TABLES_VERSION = "select version_num from alembic_version"
COLLATION_OF_NAMES = """
    select collname from pg_attribute join pg_collation on pg_collation.oid = attcollation
    where attrelid = 'banners'::regclass and attname = 'name'
"""
SERVICES = ("api", "renderer", "storage", "kafka", "api-psgr")


@pytest.fixture(scope="module")
def stack() -> Iterator[ComposeStack]:
    with reachable_dir() as folder, open_compose_stack(folder) as stack:
        started = time.monotonic()
        stack.compose("build", minutes=15)
        built = time.monotonic()
        stack.up()
        up = time.monotonic()
        print(f"\nbuild {built - started:.0f} s, up {up - built:.0f} s")  # noqa: T201
        assert make(stack, KNOWN).status_code == 201
        yield stack


@pytest.fixture(scope="module")
def proxy() -> Iterator[ImageProxy]:
    with ImageProxy(parallel=100) as proxy:
        yield proxy


def make(stack: ComposeStack, login: str) -> httpx2.Response:
    body = {"username": login}
    return httpx2.post(stack.url + "/banners", json=body, timeout=30, trust_env=False)


def preview(stack: ComposeStack, login: str) -> str:
    return f"{stack.url}/banners/preview?username={login}"


class BackgroundLoad:
    """Fetches 20 pictures a second: a cached banner, an uncached one, and a new preview in turn."""

    def __init__(self, stack: ComposeStack, proxy: ImageProxy) -> None:
        self._stack = stack
        self._proxy = proxy
        self._busters = count(1)
        self.responses: list[ProxyResponse] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = Event()
        thread = Thread(target=self._fetch_until, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _fetch_until(self, stop: Event) -> None:
        kinds: Iterator[Callable[[], str]] = cycle(
            (
                lambda: self._stack.url + BANNER,
                lambda: f"{self._stack.url}{BANNER}?x={next(self._busters)}",
                lambda: preview(self._stack, new_login()),
            )
        )
        with ThreadPoolExecutor(100) as pool:
            futures: list[Future[ProxyResponse]] = []
            while not stop.wait(1 / REQUESTS_PER_SECOND):
                futures.append(pool.submit(self._proxy.fetch, next(kinds)()))
            self.responses += [future.result() for future in futures]


def find_outdated(stack: ComposeStack) -> list[str]:
    """Return the names of the banners whose newest version has not been stored."""
    rows = stack.sql("select name, version from banners where is_active")
    command = "grep -aoH 'version [0-9]*' /data/banners/*.svg"
    lines = stack.compose("exec", "-T", "storage", "sh", "-c", command).splitlines()
    stored = {
        line.partition(".svg:")[0].rpartition("/")[2]: line.rpartition(" ")[2] for line in lines
    }
    return [name for name, version in rows if stored.get(name) != version]


def change_all(stack: ComposeStack) -> None:
    """Raise the version of every banner, as a refresh with changed numbers does."""
    stack.sql("update banners set version = version + 1")


def check_fault(
    stack: ComposeStack,
    proxy: ImageProxy,
    rows: list[Row],
    fault: str,
    happen: Callable[[], None],
    *,
    is_back: Callable[[], bool],
    back_within: float = BACK_SECONDS,
) -> None:
    load = BackgroundLoad(stack, proxy)
    with load.running():
        time.sleep(1)
        happen()
        back_after = wait_until(is_back, limit=back_within)
        time.sleep(2)
    rows.append(_to_row(fault, load, back_after))
    change_all(stack)
    wait_until(lambda: not find_outdated(stack), limit=BACK_SECONDS)


def _to_row(fault: str, load: BackgroundLoad, recovered_after: float) -> Row:
    """Return the result of a fault; fail if a picture was broken or late."""
    broken = [response for response in load.responses if not is_in_time(response)]
    slowest = max(response.seconds for response in load.responses)
    row = Row(fault, len(load.responses), len(broken), slowest, recovered_after)
    assert not broken, f"{row}\n" + "\n".join(map(str, broken[:10]))
    return row


def all_is_well(stack: ComposeStack, proxy: ImageProxy) -> bool:
    if not all(stack.is_healthy(service) for service in SERVICES):
        return False
    return proxy.fetch(preview(stack, new_login())).shows_numbers


@pytest.mark.parametrize("override", ["", "zookeeper", "external-postgres"])
def test_compose_config_is_valid(override: str, tmp_path: Path) -> None:
    require_docker()
    copy_checkout(tmp_path)
    shutil.copy2(tmp_path / "api/.env.example", tmp_path / "api/.env")
    shutil.copy2(tmp_path / ".env.example", tmp_path / ".env")
    files = ["-f", "docker-compose.yaml"]
    if override:
        files += ["-f", f"deploy/compose.{override}.yaml"]
    done = subprocess.run(
        ["docker", "compose", *files, "config"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    services = yaml.safe_load(done.stdout)["services"]
    assert ("zookeeper" in services) is (override == "zookeeper")
    assert ("api-psgr" in services) is (override != "external-postgres")
    if override == "zookeeper":
        assert services["kafka"]["environment"]["KAFKA_ZOOKEEPER_CONNECT"] == "zookeeper:2181"
        assert "KAFKA_PROCESS_ROLES" not in services["kafka"]["environment"]
    if override == "external-postgres":
        assert set(services["migrate"]["networks"]) == {"front", "back"}


def _replace_gateway(stack: ComposeStack, proxy: ImageProxy) -> Row:
    """Run the last step of the upgrade; while the gateway is replaced, connections are refused."""
    (before,) = stack.containers("gateway")
    load = BackgroundLoad(stack, proxy)
    with load.running():
        time.sleep(1)
        started = time.monotonic()
        stack.run_documented("Upgrade without a gap", block=2)
        seconds = time.monotonic() - started
        time.sleep(2)
    assert stack.containers("gateway") != [before]
    broken = [response for response in load.responses if not is_in_time(response)]
    assert not [response for response in broken if response.status], broken[:10]
    assert len(broken) <= GATEWAY_BACK_SECONDS * REQUESTS_PER_SECOND
    slowest = max(response.seconds for response in load.responses)
    return Row("gateway replaced", len(load.responses), len(broken), slowest, seconds)


def _go_back(stack: ComposeStack, proxy: ImageProxy) -> Row:
    """Replace the services by those of the older version, as the documentation says."""
    load = BackgroundLoad(stack, proxy)
    with load.running():
        started = time.monotonic()
        stack.run_documented("Go back without a gap")
        export_commit(OLDER_COMMIT, stack.folder)
        stack.run_documented("Go back without a gap", block=2)
        seconds = time.monotonic() - started
        time.sleep(2)
    return _to_row("back to the older version", load, seconds)


def _roll(stack: ComposeStack, proxy: ImageProxy) -> Row:
    """
    Upgrade as Kubernetes does: each container is stopped when one of the new version is ready.

    The first step migrates, as a Job does.
    """
    load = BackgroundLoad(stack, proxy)
    with load.running():
        started = time.monotonic()
        stack.compose("build", minutes=15)
        stack.compose("run", "--rm", "--no-deps", "migrate")
        for service in ("storage", "renderer", "api"):
            up = ("up", "--detach", "--wait", "--no-deps")
            stack.compose(*up, "--scale", f"{service}=2", "--no-recreate", service, minutes=15)
            oldest = min(stack.containers(service), key=lambda name: stack.inspect(name)["Created"])
            subprocess.run(["docker", "stop", oldest], check=True, capture_output=True)
            subprocess.run(["docker", "rm", oldest], check=True, capture_output=True)
        seconds = time.monotonic() - started
        time.sleep(2)
    return _to_row("upgrade as Kubernetes does it", load, seconds)


# Runs before the fixture `stack`: both build the image `github-banners`.
def test_upgrade_keeps_banners_of_old_volumes(proxy: ImageProxy, rows: list[Row]) -> None:
    with reachable_dir() as folder, open_compose_stack(folder, commit=OLDER_COMMIT) as stack:
        stack.compose("build", minutes=15)
        stack.up()
        logins = [KNOWN, *(new_login() for _ in range(20))]
        assert [make(stack, login).status_code for login in logins] == [201] * len(logins)
        wait_until(lambda: not find_outdated(stack), limit=BACK_SECONDS)
        assert stack.sql(TABLES_VERSION) == [["0002"]]
        banners = stack.sql("select id, name, owner_id, created_at from banners order by id")
        assert len(banners) == len(logins)

        copy_checkout(folder)
        load = BackgroundLoad(stack, proxy)
        with load.running():
            started = time.monotonic()
            stack.run_documented("Upgrade without a gap")
            seconds = time.monotonic() - started
        rows.append(_to_row("upgrade of an older version", load, seconds))
        rows.append(_replace_gateway(stack, proxy))
        stack.up()

        assert (
            stack.sql("select id, name, owner_id, created_at from banners order by id") == banners
        )
        assert stack.sql(TABLES_VERSION) == [[HEAD]]
        assert stack.sql(COLLATION_OF_NAMES) == [["C"]]
        owner = "id -un && stat -c %U /var/lib/postgresql/data"
        users = stack.compose("exec", "-T", "api-psgr", "sh", "-c", owner)
        assert users.split() == ["postgres", "postgres"]
        for _, name, *_ in banners:
            fetch = proxy.fetch(f"{stack.url}/banners/{name}?x=upgraded")
            assert fetch.shows_numbers, fetch
        change_all(stack)
        wait_until(lambda: not find_outdated(stack), limit=BACK_SECONDS)

        rows.append(_go_back(stack, proxy))
        assert stack.sql(TABLES_VERSION) == [["0002"]]
        change_all(stack)
        wait_until(lambda: not find_outdated(stack), limit=BACK_SECONDS)

        copy_checkout(folder)
        rows.append(_roll(stack, proxy))
        assert stack.sql(TABLES_VERSION) == [[HEAD]]
        change_all(stack)
        wait_until(lambda: not find_outdated(stack), limit=BACK_SECONDS)


def test_compose_publishes_only_the_gateway(stack: ComposeStack) -> None:
    assert httpx2.get(stack.url + "/healthz", trust_env=False).json() == {"status": "alive"}
    for path in ("/metrics", "/readyz", "/preview", "/anything"):
        assert httpx2.get(stack.url + path, trust_env=False).status_code == 404
    for service in SERVICES:
        ports = stack.inspect(stack.containers(service)[0])["NetworkSettings"]["Ports"]
        assert not [port for port in ports.values() if port], service


def test_container_has_minimal_rights_and_secrets(stack: ComposeStack) -> None:
    for service in ("api", "renderer", "storage"):
        (container,) = stack.containers(service)
        details = stack.inspect(container)
        assert details["HostConfig"]["ReadonlyRootfs"]
        assert details["HostConfig"]["CapDrop"] == ["ALL"]
        assert stack.compose("exec", "-T", service, "id", "-u").strip() == "10001"
        variables = dict(line.partition("=")[::2] for line in details["Config"]["Env"])
        needs = service == "api"
        assert bool(variables["GITHUB_TOKENS"]) is bool(variables["POSTGRES_PASSWORD"]) is needs
        assert variables["SERVICES_SECRET_KEY"]


@pytest.mark.parametrize("service", SERVICES)
def test_killed_service_recovers(
    stack: ComposeStack, proxy: ImageProxy, rows: list[Row], service: str
) -> None:
    before = stack.starts(service)
    check_fault(
        stack,
        proxy,
        rows,
        f"{service}: kill -9 of the main process",
        lambda: stack.kill(service),
        is_back=lambda: stack.starts(service) != before and all_is_well(stack, proxy),
    )


@pytest.mark.parametrize("service", SERVICES)
def test_paused_service_recovers(
    stack: ComposeStack, proxy: ImageProxy, rows: list[Row], service: str
) -> None:
    def happen() -> None:
        with stack.paused(service):
            time.sleep(PAUSE_SECONDS)

    check_fault(
        stack,
        proxy,
        rows,
        f"{service}: paused for {PAUSE_SECONDS:.0f} s",
        happen,
        is_back=lambda: all_is_well(stack, proxy),
    )


def test_killed_gateway_restarts_soon(stack: ComposeStack, proxy: ImageProxy) -> None:
    assert proxy.fetch(stack.url + BANNER).is_picture
    stack.kill("gateway")
    seconds = wait_until(
        lambda: proxy.fetch(stack.url + BANNER).is_picture, limit=GATEWAY_BACK_SECONDS
    )
    print(f"the gateway is back after {seconds:.1f} s")  # noqa: T201


def test_scaled_services_share_the_load(stack: ComposeStack, proxy: ImageProxy) -> None:
    stack.up("--scale", "api=2", "--scale", "renderer=3")
    assert len(stack.containers("api")) == 2
    logins = [new_login() for _ in range(40)]
    for login in logins:
        assert make(stack, login).status_code == 201

    def share_the_work() -> bool:
        change_all(stack)
        stored = [
            sum(event["count"] for event in events if event["event"] == "updates.stored")
            for events in stack.events("renderer").values()
        ]
        created = [
            sum(event["event"] == "banner.created" for event in events)
            for events in stack.events("api").values()
        ]
        return bool(min(stored) and min(created))

    wait_until(share_the_work, limit=BACK_SECONDS)
    wait_until(lambda: not find_outdated(stack), limit=BACK_SECONDS)
    stack.up("--scale", "api=1", "--scale", "renderer=1")


def test_down_and_up_keeps_banners(stack: ComposeStack, proxy: ImageProxy) -> None:
    banners = stack.sql("select count(*) from banners")
    started = time.monotonic()
    stack.compose("down")
    down = time.monotonic()
    stack.up()
    print(f"down {down - started:.0f} s, up again {time.monotonic() - down:.0f} s")  # noqa: T201
    assert stack.sql("select count(*) from banners") == banners
    assert proxy.fetch(stack.url + BANNER).shows_numbers
    assert find_outdated(stack) == []
    stack.compose("down", "--volumes")
    stack.up()
    assert stack.sql("select count(*) from banners") == [["0"]]


def test_example_secret_is_refused(stack: ComposeStack) -> None:
    stack.compose("down")
    settings = stack.folder / "api/.env"
    original = settings.read_text()
    try:
        settings.write_text(original + "\nSERVICES_SECRET_KEY=your_secret_key\n")
        with pytest.raises(AssertionError):
            stack.up()
        variables = stack.compose("logs", "migrate")
        assert "SERVICES_SECRET_KEY is a well-known secret" in variables
        assert "make secrets" in variables
        assert stack.compose("ps", "--quiet", "--status", "running", "api") == ""
    finally:
        settings.write_text(original)

"""
Several renderers, storages and apis: `make bench-scale` runs this and writes docs/scaling.md.

It is no part of `make bench`, because it takes minutes and its figures are not ratios.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from scaling.page import replace_section

from tests.acceptance.breakable_backends import frozen
from tests.acceptance.deployment import Deployment, open_deployment
from tests.acceptance.fault_checks import wait_until
from tests.acceptance.gateway import Gateway
from tests.acceptance.processes import reachable_dir
from tests.benchmarks.client import fetch_all
from tests.benchmarks.load import require
from tests.benchmarks.report import describe_run
from tests.benchmarks.scale_out import PROCESSES, Meter, Round, Scenario, to_markdown
from tests.benchmarks.sizes import sized
from tests.benchmarks.test_events import build_event, find_pictures, send

pytestmark = [pytest.mark.scaling, pytest.mark.postgres, pytest.mark.timeout(1200)]

ROUNDS = sized(short=1, medium=2, full=5)
EVENTS = sized(short=200, medium=2000, full=10_000)
PREVIEWS = sized(short=100, medium=1000, full=5000)
WARM_EVENTS = 60
LOGINS = [f"dev-{number + 1}" for number in range(20)]
# A renderer that does not respond for 10 s is taken for dead.
_MAX_FROZEN_SECONDS = 5
_DRAWN = 'banners_drawn_total{by="renderer"}'
# An api draws by itself what the renderer has not drawn in 0.5 s.
_MIN_DRAWN_SHARE = 0.9
_STORED = 'banners_updates_total{outcome="stored"}'

EVENT_SCENARIO = Scenario(
    section="events",
    unit="event",
    scaled=("renderer", "storage"),
    shared=("broker",),
    text=(
        f"{EVENTS:,} events of as many owners are sent while all renderers are frozen, which have "
        "shared the partitions before; the time is that from their continuation to the last file. "
        "Each renderer has a storage of its own, and all storages write into one folder. Figures "
        f"are medians of {ROUNDS} rounds. CPU is for one event, of all processes of a service "
        "together."
    ),
)
PREVIEW_SCENARIO = Scenario(
    section="previews",
    unit="preview",
    scaled=("api",),
    shared=("gateway", "renderer", "PostgreSQL"),
    text=(
        f"{PREVIEWS:,} previews of {len(LOGINS)} known users, each with a title that nobody has "
        "requested before, so that no cache has the picture. 16 connections request them from nginx "
        "with the gateway's configuration, and one renderer draws them. Figures are medians "
        f"of {ROUNDS} rounds. CPU is for one preview, of all processes of a service together."
    ),
)


class ScaledDeployment(Deployment):
    """A deployment in which `renderer-2` uses `storage-2`, and so on; apis use the first ones."""

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service."""
        service, _, number = name.partition("-")
        storage = f"storage-{number}" if service == "renderer" else "storage-1"
        return super().environment(name) | {
            "RENDERER_BASE_URL": self.address("renderer-1"),
            "STORAGE_BASE_URL": self.address(storage),
        }

    def pids(self, service: str, processes: int) -> list[int]:
        """Return the running processes of a service."""
        return [self[f"{service}-{number}"].process.pid for number in range(1, processes + 1)]


@pytest.fixture(scope="module")
def scaled() -> Iterator[ScaledDeployment]:
    require("nginx")
    # Numbers stay fresh during a round, so that nothing is requested from GitHub.
    with (
        reachable_dir() as folder,
        open_deployment(folder, SOFT_TTL="12h", RATE_LIMIT_RPS="100000") as opened,
    ):
        yield ScaledDeployment(
            folder, opened.github, opened.postgres, opened.broker, opened.settings
        )


def publish(scenario: Scenario, rounds: Sequence[Round]) -> None:
    """Print the section of a scenario, and write it into the page that SCALING_PAGE names."""
    cores = len(os.sched_getaffinity(0))
    markdown = to_markdown(scenario, rounds, run=describe_run(), cores=cores)
    print(f"\n{markdown}")
    path = os.environ.get("SCALING_PAGE")
    if path:
        page = Path(path).read_text(encoding="utf-8")
        written = replace_section(page, scenario.section, markdown)
        Path(path).write_text(written, encoding="utf-8")


@contextmanager
def services(scaled: ScaledDeployment, *names: str) -> Iterator[None]:
    """Run services, which are stopped at the end."""
    try:
        scaled.start(*names)
        yield
    finally:
        scaled.close()


def numbered(service: str, processes: int) -> list[str]:
    return [f"{service}-{number}" for number in range(1, processes + 1)]


def test_events_with_several_renderers_and_storages(scaled: ScaledDeployment) -> None:
    rounds: list[Round] = []
    for processes in PROCESSES:
        names = numbered("storage", processes) + numbered("renderer", processes)
        with services(scaled, *names):
            share_partitions(scaled, processes)
            rounds += [
                measure_events(scaled, processes, name=f"p{processes}-r{number}")
                for number in range(ROUNDS)
            ]
    publish(EVENT_SCENARIO, rounds)


def share_partitions(scaled: ScaledDeployment, processes: int) -> None:
    """Send events until each renderer has stored some: the group has settled, and all are warm."""
    renderers = numbered("renderer", processes)

    def is_shared() -> bool:
        before = [scaled.metric(name, _STORED) for name in renderers]
        send_and_wait(scaled, f"warm{processes}-{time.monotonic_ns()}", WARM_EVENTS)
        return all(
            scaled.metric(name, _STORED) > count
            for name, count in zip(renderers, before, strict=True)
        )

    wait_until(is_shared, limit=120)


def send_and_wait(scaled: ScaledDeployment, name: str, events: int) -> None:
    asyncio.run(
        send(scaled.broker.addresses, [build_event(name, number) for number in range(events)])
    )
    wait_until(lambda: len(find_pictures(scaled.files, name)) == events, limit=60)


def measure_events(scaled: ScaledDeployment, processes: int, *, name: str) -> Round:
    pids = {service: scaled.pids(service, processes) for service in EVENT_SCENARIO.scaled}
    events = [build_event(name, number) for number in range(EVENTS)]
    with ExitStack() as stack:
        for pid in pids["renderer"]:
            stack.enter_context(frozen(pid))
        started = time.monotonic()
        asyncio.run(send(scaled.broker.addresses, events))
        assert time.monotonic() - started < _MAX_FROZEN_SECONDS
        meter = Meter({**pids, "broker": [scaled.broker.pid]})
        continued = time.time()
    wait_until(lambda: len(find_pictures(scaled.files, name)) == EVENTS, limit=300)
    files = find_pictures(scaled.files, name)
    seconds = max(path.stat().st_mtime for path in files) - continued
    measured = meter.stop(processes=processes, units=EVENTS, seconds=seconds)
    for path in files:
        path.unlink()
    return measured


def test_previews_with_several_apis(scaled: ScaledDeployment) -> None:
    rounds = []
    for processes in PROCESSES:
        names = ["storage-1", "renderer-1", *numbered("api", processes)]
        with services(scaled, *names), gateway(scaled, processes) as (url, pid):
            for service in numbered("api", processes):
                fetch(scaled.address(service), [f"{preview(login)}&title=warm" for login in LOGINS])
            pids = {
                "api": scaled.pids("api", processes),
                "gateway": [pid],
                "renderer": scaled.pids("renderer", 1),
                "PostgreSQL": [scaled.postgres.pid],
            }
            for number in range(ROUNDS):
                titles = [f"{processes}-{number}-{unit}" for unit in range(PREVIEWS)]
                targets = [
                    f"{preview(LOGINS[unit % len(LOGINS)])}&title={title}"
                    for unit, title in enumerate(titles)
                ]
                meter = Meter(pids)
                fetch(url, targets)
                rounds.append(meter.stop(processes=processes, units=PREVIEWS))
            drawn = sum(scaled.metric(name, _DRAWN) for name in numbered("api", processes))
            assert drawn >= ROUNDS * PREVIEWS * _MIN_DRAWN_SHARE
    publish(PREVIEW_SCENARIO, rounds)


def preview(login: str) -> str:
    return f"/banners/preview?username={login}"


def fetch(url: str, targets: list[str]) -> None:
    """Fetch pictures, all of which must show numbers."""
    assert asyncio.run(fetch_all(url, targets)) == (len(targets), 0)


@contextmanager
def gateway(scaled: ScaledDeployment, processes: int) -> Iterator[tuple[str, int]]:
    """Run nginx in front of the apis; returns its address and its pid."""
    with reachable_dir() as folder:
        addresses = [scaled.address(name) for name in numbered("api", processes)]
        ports = [int(address.rpartition(":")[2]) for address in addresses]
        configured = Gateway(folder, ports)
        with configured.run() as process:
            yield configured.url, process.pid

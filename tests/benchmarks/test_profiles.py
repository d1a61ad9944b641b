"""
Where the time goes: the functions that take most of a cached hit, a miss and an event.

The services run under cProfile, which makes every call of Python more expensive than it is: only shares
count, not rates.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.fault_checks import wait_until
from tests.acceptance.processes import Running, reachable_dir, running
from tests.benchmarks import profiled
from tests.benchmarks.load import (
    prioritize,
    require,
    write_headers_script,
    write_targets_script,
    wrk,
)
from tests.benchmarks.report import Report, Title
from tests.benchmarks.sizes import sized
from tests.benchmarks.test_events import build_event, send
from tests.benchmarks.test_serving import CAMO_HEADERS

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(120)]

SECONDS = sized(short=2, medium=10, full=30) / 10
EVENTS = sized(short=100, medium=500, full=2000)
NOTE = (
    "The real process under cProfile, which makes calls of Python more expensive than they are: only "
    "shares count. What uvloop does for a caller (`write` to a socket above all) is the caller's own "
    "time, and each resumption of a coroutine counts as a call."
)
TARGET = "/banners/preview?username=mia-maintains"


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_dir() as folder:
        yield folder


@pytest.fixture
def service(serve_environment: dict[str, str], folder: Path) -> Iterator[Running]:
    require("wrk", "taskset", "stdbuf")
    env = {**serve_environment, profiled.VARIABLE: str(folder)}
    with running("serve", env=env, module=profiled.MODULE) as service:
        assert b" star" in service.get(TARGET).content
        prioritize(service.process.pid)
        yield service


@pytest.mark.postgres
def test_profiles_of_requests(service: Running, folder: Path, report: Report) -> None:
    script = write_headers_script(folder / "camo.lua", CAMO_HEADERS)
    table = profile_requests(service.url + TARGET, script, folder)
    bound = (
        "A hit is one lookup of the bytes that came in and one write of prepared bytes: it is bounded "
        "by the kernel's work on the socket, most of which the write does inside of `data_received`."
    )
    report.add(Title.HIT_PROFILE, text=f"{bound}\n\n{NOTE}\n\n{table}\n")

    script = write_targets_script(folder / "titles.lua", TARGET + "&title={n}")
    table = profile_requests(service.url, script, folder)
    bound = (
        "A miss is a preview of a known owner with a title that nobody has requested: it is bounded "
        "by Python itself, in many small calls, of which drawing makes most; compressing and sending "
        "the picture follow."
    )
    report.add(Title.MISS_PROFILE, text=f"{bound}\n\n{NOTE}\n\n{table}\n")


def profile_requests(url: str, script: Path, folder: Path) -> str:
    """Profile `serve` while wrk loads it; returns the functions as a table."""
    with profiled.profiling(folder):
        requests = wrk(url, script=script, seconds=SECONDS, is_urgent=True).requests
    profile = profiled.read_profile(folder, "serve")
    return profile.to_markdown(operations=requests, operation="request")


@pytest.mark.kafka
def test_profile_of_an_event(deployment: Deployment, folder: Path, report: Report) -> None:
    brokers = deployment.broker.addresses
    with ExitStack() as stack:
        for command in ("storage", "renderer"):
            env = {**deployment.environment(command), profiled.VARIABLE: str(folder)}
            stack.enter_context(running(command, env=env, module=profiled.MODULE))
        asyncio.run(send(brokers, [build_event("profile-warm", number) for number in range(50)]))
        wait_for_files(deployment, "profile-warm", 50)
        with profiled.profiling(folder):
            events = [build_event("profile", number) for number in range(EVENTS)]
            asyncio.run(send(brokers, events))
            wait_for_files(deployment, "profile", EVENTS)
        tables = [
            f"In the {command}:\n\n"
            + profiled.read_profile(folder, command).to_markdown(
                operations=EVENTS, operation="event"
            )
            for command in ("renderer", "storage")
        ]
    bound = (
        "An event is bounded by Python itself in the renderer, where drawing and encoding it take "
        "most; what belongs to a call to the storage is shared by a batch. Files are written in a "
        "thread of the storage, which is not profiled."
    )
    report.add(Title.EVENT_PROFILE, text="\n\n".join([bound, NOTE, *tables]) + "\n")


def wait_for_files(deployment: Deployment, name: str, count: int) -> None:
    wait_until(lambda: len(list(deployment.files.glob(f"{name}-[0-9]*.svg"))) >= count, limit=60)

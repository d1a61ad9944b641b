"""Time until commands end and services are ready, and memory of idle services."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from github_banners.database import embedded
from tests.acceptance.deployment import Deployment, open_deployment
from tests.acceptance.processes import environment, reachable_dir, running
from tests.benchmarks.processes import (
    memory_row,
    plain_python_memory,
    plain_python_seconds,
    read_memory,
    run_seconds,
)
from tests.benchmarks.report import Budget, Report, Row, Title
from tests.benchmarks.sizes import sized

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

ROUNDS = sized(short=1, medium=3, full=10)
SERVICES = ("api", "renderer", "storage")
IDLE_SECONDS = sized(short=0, medium=5, full=20)


@pytest.mark.postgres
def test_seconds_until_ready(report: Report) -> None:
    new, existing, new_alone, existing_alone = [], [], [], []
    python, help_ = [], []
    for _ in range(ROUNDS):
        python.append(plain_python_seconds())
        help_.append(run_seconds([sys.executable, "-m", "github_banners", "--help"]))
        with reachable_dir() as folder, reachable_dir() as reference:
            new_alone.append(seconds_of_postgresql(reference / "postgresql"))
            new.append(seconds_until_ready(folder))
            existing_alone.append(seconds_of_postgresql(reference / "postgresql"))
            existing.append(seconds_until_ready(folder))

    def row(
        what: str, values: list[float], *, beside: str, alone: list[float], limit: float
    ) -> Row:
        return Row(
            what=what,
            unit="s",
            values=values,
            reference=beside,
            reference_values=alone,
            budget=Budget(limit, "at most"),
        )

    database = "its PostgreSQL alone"
    report.add(
        Title.START,
        row(
            "`serve` is ready, existing database",
            existing,
            beside=database,
            alone=existing_alone,
            limit=1,
        ),
        row("`serve` is ready, new database", new, beside=database, alone=new_alone, limit=5),
        row("`--help`", help_, beside="Python that does nothing", alone=python, limit=0.3),
        text=(
            "From the start of the process to its end, or to the first answer of `/readyz`; with "
            "the embedded PostgreSQL, whose data folder is created first if it is new."
        ),
    )


def seconds_until_ready(data_dir: Path) -> float:
    """Start `serve`; returns the seconds until it logs that it is ready."""
    started = time.perf_counter()
    # Nothing listens there: a service becomes ready without GitHub.
    env = environment(PORT="0", DATA_DIR=str(data_dir), GITHUB_API_URL="http://127.0.0.1:9")
    with running("serve", env=env) as service:
        service.get("/readyz").raise_for_status()
        return time.perf_counter() - started


def seconds_of_postgresql(data_dir: Path) -> float:
    """Start the embedded PostgreSQL of `serve`; returns the seconds until it accepts connections."""
    started = time.perf_counter()
    with embedded.run_embedded_server(data_dir, on_progress=lambda _: None):
        return time.perf_counter() - started


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """
    Run backends without data, in place of those that all benchmarks share.

    With the owners and events that other benchmarks leave behind the services would not be idle: the api
    would refresh owners, and the renderer draw banners.
    """
    with reachable_dir() as folder, open_deployment(folder) as deployment:
        yield deployment


@pytest.mark.kafka
def test_memory_of_idle_services(deployment: Deployment, report: Report) -> None:
    with ExitStack() as stack:
        for name in SERVICES:
            deployment.start(name)
            stack.callback(deployment.end, name)
        time.sleep(IDLE_SECONDS)
        for name in SERVICES:
            deployment[name].get("/readyz").raise_for_status()
        memories = {name: read_memory(deployment[name].process.pid) for name in SERVICES}
    reference = plain_python_memory()
    report.add(
        Title.IDLE,
        *(
            memory_row(f"{name}, resident", memory.resident, reference.resident)
            for name, memory in memories.items()
        ),
        *(
            memory_row(
                f"{name}, proportional", memory.proportional, reference.proportional, limit=55
            )
            for name, memory in memories.items()
        ),
        Row(
            what="all three, proportional",
            unit="MB",
            values=[sum(memory.proportional for memory in memories.values())],
            published="32 MB",
        ),
        text=(
            f"Each service as a process of its own, {IDLE_SECONDS} s after it was ready, with an empty "
            "PostgreSQL, an empty Kafka and the other services there and without a request; MB of "
            "2^20 bytes. Resident are all pages, those of the interpreter and of libraries that other "
            "processes share included; in the proportional size these are divided among them, and the "
            "budget is of it (docs/decisions.md)."
        ),
    )

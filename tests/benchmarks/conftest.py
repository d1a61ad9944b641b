"""
The databases of the integration tests; and silence, as only measurements are to be read here.

What the parts log costs its time all the same.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from psycopg.conninfo import conninfo_to_dict

from tests.acceptance.breakable_backends import GitHub
from tests.acceptance.deployment import Deployment, open_deployment
from tests.acceptance.processes import environment
from tests.acceptance.processes import reachable_dir as make_reachable_dir
from tests.benchmarks.report import Report
from tests.integration.conftest import *  # noqa: F403


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let benchmarks that need Kafka come last: its broker would disturb the others."""
    items.sort(
        key=lambda item: all(item.get_closest_marker(name) for name in ("benchmark", "kafka"))
    )


@pytest.fixture(autouse=True)
def _unread_logs() -> Iterator[None]:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.PrintLoggerFactory(nowhere),
        )
        yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """The figures of this run, which are written at its end to the file that BENCH_REPORT names."""
    report = Report()
    yield report
    path = os.environ.get("BENCH_REPORT")
    if path:
        report.write(Path(path))


@pytest.fixture(scope="session")
def github() -> Iterator[GitHub]:
    """The sandbox in GitHub's place; each token has an account and a budget of its own."""
    github = GitHub()
    github.start()
    yield github
    github.close()


@pytest.fixture
def serve_environment(github: GitHub, conninfo: str) -> Iterator[dict[str, str]]:
    """What `serve` is told: a fresh database of the server that all tests share, and the sandbox."""
    database = conninfo_to_dict(conninfo)
    with make_reachable_dir() as data_dir:
        yield environment(
            PORT="0",
            DATA_DIR=str(data_dir),
            DB_HOST=str(database["host"]),
            PGPORT=str(database["port"]),
            POSTGRES_USER=str(database["user"]),
            POSTGRES_DB=str(database["dbname"]),
            GITHUB_API_URL=github.url,
            GITHUB_TOKENS="ghp_bench",
            RATE_LIMIT_RPS="100000",
        )


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """GitHub, PostgreSQL and Kafka; each test starts the services that it needs, and ends them."""
    with make_reachable_dir() as folder, open_deployment(folder) as deployment:
        yield deployment

"""
Fixtures of the benchmarks. Log lines are formatted, which costs time, but not printed.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from psycopg.conninfo import conninfo_to_dict

from tests.acceptance.breakable_backends import BreakableSandbox
from tests.acceptance.deployment import Deployment, open_deployment
from tests.acceptance.processes import environment
from tests.acceptance.processes import reachable_dir as make_reachable_dir
from tests.benchmarks.report import Report
from tests.integration.conftest import *  # noqa: F403


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run benchmarks that need Kafka last, because its broker would disturb the others."""
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
    """Collect the figures of this run, and write them to the file that BENCH_REPORT names."""
    report = Report()
    yield report
    path = os.environ.get("BENCH_REPORT")
    if path:
        report.write(Path(path))


@pytest.fixture(scope="session")
def github() -> Iterator[BreakableSandbox]:
    """Run the sandbox; each token has its own account and budget."""
    github = BreakableSandbox()
    github.start()
    yield github
    github.close()


@pytest.fixture
def serve_environment(github: BreakableSandbox, conninfo: str) -> Iterator[dict[str, str]]:
    """Return the environment of `serve`: a new database on the shared server, and the sandbox."""
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
    """Run GitHub, PostgreSQL and Kafka; each test starts and stops the services that it needs."""
    with make_reachable_dir() as folder, open_deployment(folder) as deployment:
        yield deployment

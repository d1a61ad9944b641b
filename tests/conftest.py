"""Settings of every test run: Hypothesis, log lines, retries, Kafka and S3 in use, and FAIL_ON_SKIP."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import stamina
import structlog
from hypothesis import settings

from tests.acceptance.chromium import running_chromium
from tests.integration.s3_fault_proxy import S3FaultProxy
from tests.integration.s3_server import S3Server, start_s3
from tests.integration.store_backends import (
    BucketBackend,
    FolderBackend,
    StoreBackend,
    fresh_bucket,
)
from tests.resources import KAFKA_LOCAL

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A deadline would fail tests on a busy machine. `make soak` sets SOAK=long; `make test-fast` selects
# "fast" by an option.
settings.register_profile("fast", deadline=None, max_examples=10)
settings.register_profile("short", deadline=None, max_examples=50)
settings.register_profile("long", deadline=None, max_examples=1_000)
settings.load_profile("long" if os.environ.get("SOAK") == "long" else "short")

# The default renderer takes up to a second for each traceback.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(),
    ]
)


@pytest.fixture(autouse=True)
def no_bound_trace() -> None:
    """Unbind what an earlier test has bound to log lines."""
    structlog.contextvars.clear_contextvars()


def pytest_report_header() -> str:
    """Say which Kafka the tests of `messaging` use."""
    is_real = KAFKA_LOCAL.is_file() and shutil.which("java") is not None
    return (
        "kafka: Apache Kafka" if is_real else "kafka: librdkafka's mock, which lacks some features"
    )


def pytest_collection_finish() -> None:
    """Collect garbage less often, and not among what was collected: a quarter of the run's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Explain why a run without failures fails, where FAIL_ON_SKIP is set."""
    if _must_fail_for_skips(terminalreporter):
        terminalreporter.write_line("FAIL_ON_SKIP is set, and tests were skipped", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped tests, where FAIL_ON_SKIP is set."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.exitstatus == pytest.ExitCode.OK and _must_fail_for_skips(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _must_fail_for_skips(reporter: pytest.TerminalReporter | None) -> bool:
    return bool(os.environ.get("FAIL_ON_SKIP") and reporter and reporter.stats.get("skipped"))


@pytest.fixture
def retry_without_delay() -> Iterator[None]:
    """Retry failed requests at once, with three attempts."""
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Run a browser; skip the test without one."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run an S3 server; skip the test if this machine can't."""
    with start_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_proxy(s3_server: S3Server) -> Iterator[S3FaultProxy]:
    """Run a fault proxy in front of the S3 server."""
    with S3FaultProxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def bucket(s3_proxy: S3FaultProxy) -> Iterator[BucketBackend]:
    """Return an empty bucket."""
    with fresh_bucket(s3_proxy) as backend:
        yield backend


@pytest.fixture(params=["folder", "bucket"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> StoreBackend:
    """Return an empty folder, then an empty bucket."""
    if request.param == "folder":
        return FolderBackend(tmp_path)
    bucket: BucketBackend = request.getfixturevalue("bucket")
    return bucket

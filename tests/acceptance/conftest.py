"""A fake GitHub, a service, an image proxy and a browser, started once per test file."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.chromium import FAMILIES
from tests.acceptance.fault_checks import HEADING, Row, printed_at_end
from tests.acceptance.image_proxy import ImageProxy
from tests.acceptance.processes import (
    Running,
    environment,
    prepared_data_dir,
    reachable_dir,
    running,
)
from tests.resources import RECORDINGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def proxy() -> Iterator[ImageProxy]:
    with ImageProxy() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """Print the results of all faults of a test file at the end."""
    with printed_at_end(HEADING) as rows:
        yield rows


@pytest.fixture(scope="module")
def github() -> Iterator[Running]:
    options = ["--recordings", str(RECORDINGS)] if RECORDINGS.is_dir() else []
    with running("sandbox", "--port", "0", *options) as sandbox:
        yield sandbox


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Create an empty DATA_DIR."""
    with reachable_dir() as folder:
        yield folder


@pytest.fixture
def prepared_dir() -> Iterator[Path]:
    """Create a DATA_DIR in which `serve` finds a database with all tables."""
    with prepared_data_dir() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared_dir() -> Iterator[Path]:
    """Create a DATA_DIR with a database for all tests of a file."""
    with prepared_data_dir() as folder:
        yield folder


@pytest.fixture(scope="module", params=["rest", "graphql"])
def service(request: pytest.FixtureRequest, github: Running) -> Iterator[Running]:
    """Run the service with and without a token: tests must pass either way."""
    tokens = {"GITHUB_TOKENS": "ghp_sandbox"} if request.param == "graphql" else {}
    with prepared_data_dir() as folder:
        env = environment(
            PORT="0",
            DATA_DIR=str(folder),
            GITHUB_API_URL=github.url,
            RATE_LIMIT_RPS="1000",
            LOG_FORMAT="json",
            **tokens,
        )
        with running("serve", env=env) as service:
            yield service


@pytest.fixture(scope="module")
def page(browser: "Browser") -> "Page":
    return browser.new_page()


@pytest.fixture(scope="module")
def families() -> list[str]:
    """Return the installed families; the browser replaces all others by the same font."""
    command = ["fc-list", "--format", "%{family}\n"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    installed = {family for line in listed.splitlines() for family in line.split(",")}
    return ["sans-serif", *(family for family in FAMILIES if family in installed)]

"""A GitHub, a service and a browser, each a process of its own, shared by the tests of one file."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.chromium import CHROMIUM, FAMILIES
from tests.acceptance.processes import Running, environment, reachable_dir, running

if TYPE_CHECKING:
    from playwright.sync_api import Page

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "github-recordings"


@pytest.fixture(scope="module")
def github() -> Iterator[Running]:
    options = ["--recordings", str(RECORDINGS)] if RECORDINGS.is_dir() else []
    with running("sandbox", "--port", "0", *options) as sandbox:
        yield sandbox


@pytest.fixture(scope="module", params=["rest", "graphql"])
def service(request: pytest.FixtureRequest, github: Running) -> Iterator[Running]:
    """The service with and without a token: everything must look the same from outside."""
    tokens = {"GITHUB_TOKENS": "ghp_sandbox"} if request.param == "graphql" else {}
    with reachable_dir() as folder:
        env = environment(
            PORT="0",
            DATA_DIR=str(folder),
            GITHUB_API_URL=github.url,
            RATE_LIMIT_RPS="1000",
            LOG_FORMAT="json",
            **tokens,
        )
        with running("serve", env=env) as served:
            yield served


@pytest.fixture(scope="module")
def page() -> "Iterator[Page]":
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser.new_page()
        browser.close()


@pytest.fixture(scope="module")
def families() -> list[str]:
    """Those of the families that are installed: others would all be drawn in the same one."""
    command = ["fc-list", "--format", "%{family}\n"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    there = {family for line in listed.splitlines() for family in line.split(",")}
    return ["sans-serif", *(family for family in FAMILIES if family in there)]

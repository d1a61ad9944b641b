"""The first preview of an unknown user, with a GitHub that responds after 100 ms."""

import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.acceptance.breakable_backends import BreakableSandbox
from tests.acceptance.processes import Running, running
from tests.benchmarks.report import Budget, Report, Row, Title
from tests.benchmarks.sizes import sized

pytestmark = [pytest.mark.benchmark, pytest.mark.postgres, pytest.mark.timeout(300)]

ROUNDS = sized(short=1, medium=5, full=20)
LATENCY_SECONDS = 0.1


@pytest.fixture
def service(serve_environment: dict[str, str]) -> Iterator[Running]:
    with running("serve", env=serve_environment) as service:
        yield service


def test_first_preview(service: Running, github: BreakableSandbox, report: Report) -> None:
    # Page by page the last two sizes take two and ten requests to GitHub's REST API.
    logins = {
        30: [f"dev-{number + 1}" for number in range(ROUNDS)],
        150: [f"big-{150 + number}" for number in range(ROUNDS)],
        1000: [f"big-{1000 - number}" for number in range(ROUNDS)],
    }
    calls: list[float] = []
    previews: dict[int, list[float]] = {size: [] for size in logins}
    headers = {"authorization": "Bearer ghp_reference", "accept": "image/*"}
    client = httpx2.Client(timeout=15, trust_env=False, headers=headers)
    prepare_pages(github, [*logins[150], *logins[1000]])
    with github.slow(LATENCY_SECONDS), client:
        preview_milliseconds(client, service, "mia-maintains")  # opens connections
        for number in range(ROUNDS):
            calls.append(milliseconds(client, f"{github.url}/users/dev-{number + 1}")[0])
            for size, values in previews.items():
                values.append(preview_milliseconds(client, service, logins[size][number]))
    budgets = {30: (130, "207 ms"), 150: (240, "320 ms"), 1000: (370, "1,230 ms")}
    report.add(
        Title.PREVIEW,
        *(
            Row(
                what=f"{size:,} repositories",
                unit="ms",
                values=previews[size],
                reference="one call to GitHub",
                reference_values=calls,
                budget=Budget(limit, "at most"),
                published=published,
            )
            for size, (limit, published) in budgets.items()
        ),
        text=(
            "A client requests a user whom `serve`, with a token, has to request from GitHub; the "
            "sandbox in GitHub's place answers every call after 100 ms, with pages of repositories "
            "that it has built before. The numbers are counted, saved and drawn. A round is a new "
            "user of each size."
        ),
    )


def prepare_pages(github: BreakableSandbox, logins: list[str]) -> None:
    """
    Let the sandbox build each page that will be requested; it keeps the last 256 in memory.

    It has one thread, in which eight pages at once would wait for each other, unlike at GitHub.
    """
    headers = {"authorization": "Bearer ghp_prepare"}
    query = "type=owner&sort=full_name&per_page=100"
    with httpx2.Client(timeout=15, trust_env=False, headers=headers) as client:
        for login in logins:
            url: str | None = f"{github.url}/users/{login}/repos?{query}&page=1"
            while url is not None:
                page = client.get(url).raise_for_status()
                url = page.links.get("next", {}).get("url")


def preview_milliseconds(client: httpx2.Client, service: Running, login: str) -> float:
    """Return how long the preview of a user takes; it must show numbers."""
    took, body = milliseconds(client, f"{service.url}/banners/preview?username={login}")
    assert b" star" in body, body
    return took


def milliseconds(client: httpx2.Client, url: str) -> tuple[float, bytes]:
    """Return how long a request takes, and the body of its response."""
    started = time.perf_counter()
    body = client.get(url).raise_for_status().content
    return (time.perf_counter() - started) * 1e3, body

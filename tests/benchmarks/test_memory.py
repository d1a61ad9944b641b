"""
Memory and pauses of `serve`: with many cached banners, and with its cache at its bound.

Every owner is fetched from the sandbox once; then each is drawn with many titles, until far more
pictures were requested than the cache holds.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import Running, reachable_dir, running
from tests.benchmarks import watched
from tests.benchmarks.client import fetch_all
from tests.benchmarks.processes import memory_row, plain_python_memory, read_memory
from tests.benchmarks.report import Budget, Report, Row, Title
from tests.benchmarks.sizes import sized

pytestmark = [pytest.mark.benchmark, pytest.mark.postgres, pytest.mark.timeout(1200)]

OWNERS = sized(short=100, medium=2000, full=10_000)
TITLES = 10
# An account has 5,000 points an hour, of which a tenth is reserved for known logins.
TOKENS = "ghp_a,ghp_b,ghp_c"
MAX_PAUSE_SECONDS = 0.05
PAUSES = {
    "loop": "longest pause of the event loop",
    "cpu": "most CPU time of the event loop in a pause",
    "gc": "longest garbage collection",
}


@pytest.fixture
def pauses_file() -> Iterator[Path]:
    with reachable_dir() as folder:
        yield folder / "pauses"


@pytest.fixture
def service(serve_environment: dict[str, str], pauses_file: Path) -> Iterator[Running]:
    settings = {"GITHUB_TOKENS": TOKENS, "SOFT_TTL": "1h", watched.VARIABLE: str(pauses_file)}
    with running("serve", env=serve_environment | settings, module=watched.MODULE) as service:
        yield service


async def test_memory_and_pauses_with_the_cache_at_its_bound(
    service: Running, pauses_file: Path, report: Report
) -> None:
    reference, pid = plain_python_memory().resident, service.process.pid
    idle_mb = read_memory(pid).resident
    owners = range(1, OWNERS + 1)
    first = await fetch_all(service.url, (build_target(owner, 0) for owner in owners))
    assert first.pictures == OWNERS
    cached_mb, cached_pauses = read_memory(pid).resident, watched.read_pauses(pauses_file)

    slices, explanations, pauses = [], first.explanations, cached_pauses
    for title in range(1, TITLES):
        fetched = await fetch_all(service.url, (build_target(owner, title) for owner in owners))
        explanations += fetched.explanations
        before, pauses = pauses, watched.read_pauses(pauses_file)
        slices.append({kind: pauses[kind][len(before[kind]) :] for kind in pauses})
    bound_mb = read_memory(pid).resident

    report.add(
        Title.MEMORY,
        memory_row("memory, idle", idle_mb, reference),
        memory_row("memory, one cached banner of each owner", cached_mb, reference, limit=200),
        memory_row("memory, cache at its bound", bound_mb, reference, limit=250),
        *(pause_row(kind, slices) for kind in PAUSES),
        Row(
            what="explanations in place of pictures meanwhile",
            unit="",
            values=[explanations],
            budget=Budget(0, "at most"),
        ),
        text=(
            "The server's process of `serve`, without PostgreSQL; MB of 2^20 resident bytes. "
            f"{OWNERS:,} owners are fetched from the sandbox and drawn, then each with {TITLES - 1} "
            f"other titles, which fills the cache to its bound: {OWNERS * TITLES:,} distinct "
            "pictures, over 16 connections. A pause of the event loop is how late a timer of 2 ms "
            "fires. The CPU time of its thread meanwhile is what the service itself computed; in the "
            "rest it waited for a processor that other processes had. A round of pauses is one title "
            "of all owners."
        ),
    )


def build_target(owner: int, title: int) -> str:
    """Return the address of a picture that no other pair of numbers has."""
    return f"/banners/preview?username=dev-{owner}" + (f"&title=Title+{title}" if title else "")


def pause_row(kind: str, slices: list[dict[str, list[float]]]) -> Row:
    return Row(
        what=f"{PAUSES[kind]}, cache at its bound",
        unit="ms",
        values=[max(pauses[kind], default=0) * 1e3 for pauses in slices],
        budget=Budget(MAX_PAUSE_SECONDS * 1e3, "at most", "highest"),
    )

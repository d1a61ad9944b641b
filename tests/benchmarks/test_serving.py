"""
Cached pictures: the service beside nginx with the same bytes.

The server has one core and wrk another; all take turns, so that a busy machine hurts all alike.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.processes import Running, reachable_dir, running
from tests.benchmarks.load import (
    CONNECTIONS,
    IS_REALTIME,
    REALTIME_NOTE,
    ROUND_SECONDS,
    ROUNDS,
    nginx,
    pin,
    prioritize,
    require,
    write_headers_script,
    write_targets_script,
    wrk,
)
from tests.benchmarks.report import Budget, Report, Row, Title

pytestmark = [pytest.mark.benchmark, pytest.mark.postgres, pytest.mark.timeout(600)]

TARGET = "/banners/preview?username=mia-maintains&type=dark"
CAMO_HEADERS = {
    "User-Agent": "github-camo (f7ca1e2b)",
    "Accept": "image/webp,image/apng,image/*,*/*;q=0.8",
    "Accept-Encoding": "identity",
    "X-Forwarded-For": "140.82.115.4",
    "X-Forwarded-Proto": "https",
    "Via": "camo (f7ca1e2b)",
    "Accept-Language": "en",
    "Cache-Control": "no-cache",
}
"""With `Host` the nine headers that GitHub's image proxy sends."""
CACHE_BUSTERS = {
    "cache busters: another `v` each time": f"{TARGET}&v={{n}}",
    "cache busters: the options in another order": (
        "/banners/preview?type=dark&v={n}&username=mia-maintains"
    ),
    "cache busters: five unknown options": f"{TARGET}&a=1&utm_source=x&b={{n}}&width=100&cache=no",
}
PLAIN, OPEN_FILE_CACHE = "nginx as installed", "nginx with `open_file_cache`"
OURS = "without them"
OPEN_FILE_CACHE_CAMO, OURS_CAMO = f"{OPEN_FILE_CACHE}, nine headers", "nine headers"


class Case(NamedTuple):
    """What wrk is told to request."""

    url: str
    script: Path | None = None


@pytest.fixture
def service(serve_environment: dict[str, str]) -> Iterator[Running]:
    require("wrk", "nginx", "taskset", "stdbuf")
    with running("serve", env=serve_environment) as service:
        pin(service.process.pid)
        yield service


def build_cases(service: Running, folder: Path, *, nginx_urls: dict[str, str]) -> dict[str, Case]:
    headers = write_headers_script(folder / "camo.lua", CAMO_HEADERS)
    files = {name: f"{url}/banner.svg" for name, url in nginx_urls.items()}
    cases = {
        PLAIN: Case(files[PLAIN]),
        OPEN_FILE_CACHE: Case(files[OPEN_FILE_CACHE]),
        OPEN_FILE_CACHE_CAMO: Case(files[OPEN_FILE_CACHE], headers),
        OURS: Case(service.url + TARGET),
        OURS_CAMO: Case(service.url + TARGET, headers),
    }
    for number, (name, target) in enumerate(CACHE_BUSTERS.items()):
        script = write_targets_script(folder / f"busters-{number}.lua", target)
        cases[name] = Case(service.url, script)
    return cases


def test_cached_picture_beside_nginx(service: Running, report: Report) -> None:
    body = service.get(TARGET, accept_encoding="identity").content
    with ExitStack() as stack:
        folders = {name: stack.enter_context(reachable_dir()) for name in (PLAIN, OPEN_FILE_CACHE)}
        for folder in folders.values():
            (folder / "banner.svg").write_bytes(body)
        plain, plain_pid = stack.enter_context(nginx(folders[PLAIN]))
        cached, cached_pid = stack.enter_context(
            nginx(folders[OPEN_FILE_CACHE], directives="open_file_cache max=10;")
        )
        urls = {PLAIN: plain, OPEN_FILE_CACHE: cached}
        cases = build_cases(service, folders[PLAIN], nginx_urls=urls)
        for target in (TARGET, *CACHE_BUSTERS.values()):
            response = service.get(target.format(n=1), **CAMO_HEADERS)
            assert response.content == body, target
        latencies = measure_latencies(cases)
        for pid in (service.process.pid, plain_pid, cached_pid):
            prioritize(pid)
        rates = measure_rates(cases)
    report.add(
        Title.CACHED,
        *build_rate_rows(rates),
        *build_latency_rows(latencies),
        text=describe(body),
    )


def measure_latencies(cases: dict[str, Case]) -> dict[str, list[float]]:
    """Measure the 99th percentile of the milliseconds that a response takes, in turns."""
    latencies: dict[str, list[float]] = {name: [] for name in (OPEN_FILE_CACHE, OURS, OURS_CAMO)}
    for _ in range(ROUNDS):
        for name, values in latencies.items():
            values.append(wrk(cases[name].url, script=cases[name].script).p99_milliseconds)
    return latencies


def measure_rates(cases: dict[str, Case]) -> dict[str, list[float]]:
    """Measure requests per second, in turns."""
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            rates[name].append(wrk(case.url, script=case.script, is_urgent=True).per_second)
    return rates


def build_rate_rows(rates: dict[str, list[float]]) -> list[Row]:
    def row(what: str, name: str, *, beside: str, floor: float, published: str = "") -> Row:
        return Row(
            what=what,
            unit="/s",
            values=rates[name],
            reference=beside,
            reference_values=rates[beside],
            budget=Budget(floor, "at least", "ratio"),
            published=published,
        )

    return [
        row("cached picture", OURS, beside=PLAIN, floor=1.2, published="0.45 to 0.51 x"),
        row("the same", OURS, beside=OPEN_FILE_CACHE, floor=0.65),
        row("nine headers, as camo sends them", OURS_CAMO, beside=OURS, floor=0.8),
        row("the same beside nginx", OURS_CAMO, beside=OPEN_FILE_CACHE_CAMO, floor=0.65),
        *(row(name, name, beside=OPEN_FILE_CACHE, floor=0.25) for name in CACHE_BUSTERS),
    ]


def build_latency_rows(latencies: dict[str, list[float]]) -> list[Row]:
    return [
        Row(
            what=what,
            unit="ms",
            values=latencies[name],
            reference=OPEN_FILE_CACHE,
            reference_values=latencies[OPEN_FILE_CACHE],
            budget=Budget(2, "at most"),
            published=published,
        )
        for what, name, published in (
            ("99th percentile of the latency", OURS, "2.5 ms"),
            ("99th percentile with nine headers", OURS_CAMO, ""),
        )
    ]


def describe(body: bytes) -> str:
    text = (
        f"A picture of {len(body):,} bytes out of memory: `serve` on one core, wrk with "
        f"{CONNECTIONS} connections on another, in alternating rounds of {ROUND_SECONDS:g} s with "
        "nginx (one worker process, no access log) that serves the same bytes from a file. "
        "The latency is that of connections which all wait for the one core at once."
    )
    return f"{text} {REALTIME_NOTE}" if IS_REALTIME else text

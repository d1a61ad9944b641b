"""Fetch pictures while a fault lasts, check them, and sum them up as a row of a table."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, cycle, islice
from typing import Any

import httpx2

from tests.acceptance.image_proxy import ImageProxy, ProxyResponse
from tests.acceptance.processes import Running

MAX_PICTURE_SECONDS = 3.5
PARALLEL_REQUESTS = 20
_numbers = count(1000)


@dataclass(frozen=True, slots=True)
class Row:
    """The result of a fault; `recovered_after` is in seconds, None if recovery was not awaited."""

    fault: str
    requests: int
    broken: int
    slowest: float
    recovered_after: float | None

    def __str__(self) -> str:
        recovered = (
            "not awaited" if self.recovered_after is None else f"{self.recovered_after:.1f} s"
        )
        numbers = f"{self.requests:>8} {self.broken:>7} {self.slowest:>6.2f} s"
        return f"{self.fault:<44} {numbers}  {recovered}"


@contextmanager
def printed_at_end(heading: str) -> Iterator[list[Any]]:
    """Yield a list for the rows of a table, which is printed at the end."""
    rows: list[Any] = []
    yield rows
    print("\n" + "\n".join([heading, *map(str, rows)]))  # noqa: T201


HEADING = f"{'fault':<44} requests  broken  slowest  recovered after"


class FaultCheck:
    """Fetches pictures while a fault lasts, for at least `seconds`, and records the responses."""

    def __init__(self, fault: str, proxy: ImageProxy, *, seconds: float) -> None:
        self._fault = fault
        self._proxy = proxy
        self._until = time.monotonic() + seconds
        self._responses: list[ProxyResponse] = []

    def fetch(self, *urls: str) -> Sequence[ProxyResponse]:
        """Fetch pictures in parallel."""
        responses = self._proxy.fetch_all(urls)
        self._responses += responses
        return responses

    def expect_numbers(self, *urls: str) -> Sequence[ProxyResponse]:
        """Fetch pictures that must show numbers of any age."""
        responses = self.fetch(*urls)
        without_numbers = [response for response in responses if not response.shows_numbers]
        assert not without_numbers, "\n".join(map(str, without_numbers))
        return responses

    def fetch_repeatedly(self, *urls: str) -> None:
        """Fetch many in parallel, repeatedly until the fault has lasted long enough."""
        while True:
            self.fetch(*islice(cycle(urls), PARALLEL_REQUESTS))
            if time.monotonic() >= self._until:
                return

    def row(self, *, recovered_after: float | None) -> Row:
        """Return the result; fail if a picture was broken or late."""
        broken = [response for response in self._responses if not is_in_time(response)]
        assert not broken, "\n".join(map(str, broken))
        slowest = max(response.seconds for response in self._responses)
        return Row(self._fault, len(self._responses), len(broken), slowest, recovered_after)


def is_in_time(response: ProxyResponse) -> bool:
    return response.is_picture and response.seconds <= MAX_PICTURE_SECONDS


def preview_url(service: Running, login: str) -> str:
    return f"{service.url}/banners/preview?username={login}"


def new_login() -> str:
    """Return the login of a user that was never requested before."""
    return f"dev-{next(_numbers)}"


def missing_login() -> str:
    """Return a login that no user has and that was never requested before."""
    return f"nobody-{next(_numbers)}"


def post_banner(service: Running, login: str) -> httpx2.Response:
    body = {"username": login}
    return httpx2.post(service.url + "/banners", json=body, timeout=30, trust_env=False)


def wait_until(is_true: Callable[[], bool], *, limit: float) -> float:
    """Wait for a condition, and return how long it took; fail after `limit` seconds."""
    started = time.monotonic()
    while not is_true():
        assert time.monotonic() - started < limit, f"still not true after {limit} s"
        time.sleep(0.05)
    return time.monotonic() - started


def is_healthy(service: Running, proxy: ImageProxy, *logins: str) -> bool:
    """Return whether banners show current numbers and can be created, and nothing is degraded."""
    responses = proxy.fetch_all(preview_url(service, login) for login in logins)
    if not all(response.shows_numbers and not response.is_dated for response in responses):
        return False
    if service.get("/readyz").json()["degraded"]:
        return False
    return all(post_banner(service, login).status_code in {200, 201} for login in logins)

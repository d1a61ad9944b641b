"""A fault's drill: everything that is asked while it lasts, and the row that it leaves in a table."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice

import httpx2

from tests.acceptance.camo import Camo, Fetch
from tests.acceptance.processes import Running

PICTURE_SECONDS = 3.5
CROWD = 20
_numbers = count(1000)


@dataclass(frozen=True, slots=True)
class Row:
    """What one fault did; `well_after` is in seconds, None where the fault names its own end."""

    fault: str
    requests: int
    broken: int
    slowest: float
    well_after: float | None

    def __str__(self) -> str:
        well = "not waited for" if self.well_after is None else f"{self.well_after:.1f} s"
        numbers = f"{self.requests:>8} {self.broken:>7} {self.slowest:>6.2f} s"
        return f"{self.fault:<44} {numbers}  {well}"


HEADING = f"{'fault':<44} requests  broken  slowest  well after"


class Drill:
    """Asks while a fault lasts, `seconds` at least, and remembers every answer."""

    def __init__(self, fault: str, camo: Camo, *, seconds: float) -> None:
        self._fault = fault
        self._camo = camo
        self._until = time.monotonic() + seconds
        self._fetches: list[Fetch] = []

    def ask(self, *urls: str) -> Sequence[Fetch]:
        """Fetch pictures at the same time."""
        fetches = self._camo.fetch_all(urls)
        self._fetches += fetches
        return fetches

    def expect_numbers(self, *urls: str) -> Sequence[Fetch]:
        """Fetch pictures that must show numbers, however old."""
        fetches = self.ask(*urls)
        without = [one for one in fetches if not one.shows_numbers]
        assert not without, "\n".join(map(str, without))
        return fetches

    def crowd(self, *urls: str) -> None:
        """Fetch many at once, again and again until the fault has lasted long enough."""
        while True:
            self.ask(*islice(cycle(urls), CROWD))
            if time.monotonic() >= self._until:
                return

    def row(self, *, well_after: float | None) -> Row:
        """Sum up; one broken picture is too many."""
        broken = [one for one in self._fetches if not _is_good(one)]
        assert not broken, "\n".join(map(str, broken))
        slowest = max(one.seconds for one in self._fetches)
        return Row(self._fault, len(self._fetches), len(broken), slowest, well_after)


def _is_good(fetch: Fetch) -> bool:
    return fetch.is_picture and fetch.seconds <= PICTURE_SECONDS


def preview(service: Running, login: str) -> str:
    return f"{service.url}/banners/preview?username={login}"


def never_seen() -> str:
    """A user whom nobody has asked about yet."""
    return f"dev-{next(_numbers)}"


def nobody() -> str:
    """A name that no user has, and nobody has asked about yet."""
    return f"nobody-{next(_numbers)}"


def post(service: Running, login: str) -> httpx2.Response:
    wish = {"username": login}
    return httpx2.post(service.url + "/banners", json=wish, timeout=25, trust_env=False)


def seconds_until(is_true: Callable[[], bool], *, limit: float) -> float:
    begun = time.monotonic()
    while not is_true():
        assert time.monotonic() - begun < limit, "it did not happen in time"
        time.sleep(0.05)
    return time.monotonic() - begun


def is_well(service: Running, camo: Camo, *logins: str) -> bool:
    """Tell whether people are counted and kept, and nothing is away."""
    fetches = camo.fetch_all(preview(service, login) for login in logins)
    if not all(one.shows_numbers and not one.is_dated for one in fetches):
        return False
    if service.get("/readyz").json()["degraded"]:
        return False
    return all(post(service, login).status_code in {200, 201} for login in logins)

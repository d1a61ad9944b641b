"""The seconds a minute that background requests may occupy GitHub."""

from contextlib import ExitStack

import httpx2
import pytest

from github_banners.github.credentials import (
    MAX_RESPONSE_SECONDS,
    WINDOW_SECONDS,
    Pace,
    Priority,
    create_accounts,
)
from github_banners.github.protocol import Resource
from github_banners.github.sender import Sender
from github_banners.settings import Secret
from tests.fake_clock import FakeClock
from tests.unit.github.fake_api import FakeGitHubApi, owners_response
from tests.unit.github.samples import NOW


def measure(pace: Pace, clock: FakeClock, *, seconds: float) -> None:
    with pace.measure(clock):
        clock.seconds += seconds


def test_pause_seconds_idle_account_is_zero() -> None:
    assert Pace().pause_seconds(0.0) == 0.0
    assert Pace(average_seconds=1000).pause_seconds(0.0, process_count=1000) == 0.0


@pytest.mark.parametrize("seconds", [0.5, 3.0, 9.0])
@pytest.mark.parametrize("process_count", [1, 3])
def test_pause_seconds_responses_of_any_length_stay_below_the_share(
    seconds: float, process_count: int
) -> None:
    pace, clock = Pace(), FakeClock()
    ends: list[float] = []
    while clock.seconds < 1000 + 5 * WINDOW_SECONDS:
        clock.seconds += pace.pause_seconds(clock.seconds, process_count=process_count)
        measure(pace, clock, seconds=seconds)
        ends.append(clock.seconds)
    for end in ends[20:]:
        spent = seconds * sum(end - WINDOW_SECONDS < other <= end for other in ends)
        assert spent <= MAX_RESPONSE_SECONDS / process_count + seconds


def test_pause_seconds_requests_in_flight_count_so_far() -> None:
    pace, clock = Pace(), FakeClock()
    measure(pace, clock, seconds=20)
    with ExitStack() as stack:
        stack.enter_context(pace.measure(clock))
        assert pace.pause_seconds(clock.seconds) == 0.0
        clock.seconds += 21
        assert pace.pause_seconds(clock.seconds) > 0
    clock.seconds += WINDOW_SECONDS
    assert pace.pause_seconds(clock.seconds) == 0.0


async def test_send_background_pauses_and_interactive_does_not() -> None:
    clock, pauses = FakeClock(), list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.seconds += seconds

    api = FakeGitHubApi()
    api.graphql = lambda request: owners_response()
    accounts = create_accounts([Secret("ghp_Token0123456789")])
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(api)) as http:
        sender = Sender(
            http,
            api_url="https://api.example",
            accounts=accounts,
            clock=lambda: NOW,
            monotonic=clock,
            sleep=sleep,
        )
        measure(accounts[0].pace, clock, seconds=MAX_RESPONSE_SECONDS)
        await sender.send_with_failover(
            sender.graphql_request(b"{}"), lambda build_response: build_response.status
        )
        await sender.send_with_failover(
            sender.rest_request("/x"), lambda build_response: build_response.status
        )
        assert pauses == []
        await sender.send_with_failover(
            sender.graphql_request(b"{}"),
            lambda build_response: build_response.status,
            priority=Priority.BACKGROUND,
        )
    assert sum(pauses) == pytest.approx(WINDOW_SECONDS)
    assert accounts[0].is_usable(Resource.GRAPHQL, now=NOW)

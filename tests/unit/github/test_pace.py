"""How much of GitHub's time the background takes in a minute."""

from contextlib import ExitStack

import pytest

from github_banners.github.accounts import Priority, accounts_of
from github_banners.github.pace import MAX_RESPONSE_SECONDS, WINDOW_SECONDS, Pace
from github_banners.github.protocol import Resource
from github_banners.github.sender import Sender
from github_banners.settings import Secret
from tests.unit.github.samples import NOW
from tests.unit.github.wire import Wire, opened, whole_answer


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def work(pace: Pace, clock: Clock, *, seconds: float) -> None:
    with pace.measure(clock):
        clock.now += seconds


def test_pause_seconds_idle_account_may_be_asked_at_once() -> None:
    assert Pace().pause_seconds(0.0) == 0.0
    assert Pace(average_seconds=1000).pause_seconds(0.0, sharers=1000) == 0.0


@pytest.mark.parametrize("seconds", [0.5, 3.0, 9.0])
@pytest.mark.parametrize("sharers", [1, 3])
def test_pause_seconds_responses_of_any_length_stay_below_the_share(
    seconds: float, sharers: int
) -> None:
    pace, clock = Pace(), Clock()
    ends: list[float] = []
    while clock.now < 1000 + 5 * WINDOW_SECONDS:
        clock.now += pace.pause_seconds(clock.now, sharers=sharers)
        work(pace, clock, seconds=seconds)
        ends.append(clock.now)
    for end in ends[20:]:
        spent = seconds * sum(end - WINDOW_SECONDS < other <= end for other in ends)
        assert spent <= MAX_RESPONSE_SECONDS / sharers + seconds


def test_pause_seconds_requests_under_way_count_as_long_as_they_take() -> None:
    pace, clock = Pace(), Clock()
    work(pace, clock, seconds=20)
    with ExitStack() as stack:
        stack.enter_context(pace.measure(clock))
        assert pace.pause_seconds(clock.now) == 0.0
        clock.now += 21
        assert pace.pause_seconds(clock.now) > 0
    clock.now += WINDOW_SECONDS
    assert pace.pause_seconds(clock.now) == 0.0


async def test_ask_background_waits_for_its_time_and_people_do_not() -> None:
    clock, pauses = Clock(), list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.now += seconds

    wire = Wire()
    wire.graphql = lambda request: whole_answer()
    accounts = accounts_of([Secret("ghp_Token0123456789")])
    async with opened(wire, accounts=accounts) as github:
        sender = Sender(
            github.sender._http,
            api_url="https://api.example",
            accounts=accounts,
            clock=lambda: NOW,
            monotonic=clock,
            sleep=sleep,
        )
        work(accounts[0].pace, clock, seconds=MAX_RESPONSE_SECONDS)
        await sender.ask(sender.query(b"{}"), lambda reply: reply.status)
        await sender.ask(sender.get("/x"), lambda reply: reply.status)
        assert pauses == []
        await sender.ask(
            sender.query(b"{}"), lambda reply: reply.status, priority=Priority.BACKGROUND
        )
    assert sum(pauses) == pytest.approx(WINDOW_SECONDS)
    assert accounts[0].may_pay(Resource.GRAPHQL, now=NOW)

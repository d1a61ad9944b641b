"""Contributions: which windows are requested, and which responses are accepted."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import httpx2
import pytest

from github_banners.errors import GitHubUnavailable, TokenRequired, UnknownUser
from github_banners.github.data_fetcher import DataFetcher
from github_banners.models import ContributionAccess, Contributions, ContributionYear, Owner
from tests.unit.github.data_samples import (
    ContributionGitHub,
    DateRange,
    contribution_owner,
    every_day_since,
    resource_limits_exceeded,
)
from tests.unit.github.fake_api import FakeGitHubApi, json_response, open_client
from tests.unit.github.samples import NOW

TOKEN = "ghp_Token0123456789"
ADA = Owner(1, "Ada", node_id="U_1")
TODAY = NOW.date()
HIDDEN = Contributions(access=ContributionAccess.HIDDEN)
NEEDS_TOKEN = Contributions(access=ContributionAccess.NEEDS_TOKEN)
NO_CONTRIBUTIONS = Contributions(access=ContributionAccess.ORGANISATION)
ORGANISATION = {"__typename": "Organization", "databaseId": 1}
THIS_YEAR = (date(2026, 1, 1), TODAY)
LAST_YEAR = (date(2025, 1, 1), date(2025, 12, 31))

Refusal = Callable[[], httpx2.Response]


def raise_timeout() -> httpx2.Response:
    raise httpx2.ReadTimeout("no response")


TOO_HEAVY: dict[str, Refusal] = {
    "resource limits": lambda: resource_limits_exceeded({"owner": None}, "owner", "w0"),
    "502": lambda: json_response({}, status=502),
    "504": lambda: json_response({}, status=504),
    "time-out": raise_timeout,
}


async def fetch(
    github: Callable[[httpx2.Request], object],
    *,
    known: Contributions | None = None,
    known_at: datetime | None = None,
    owner: Owner = ADA,
    now: datetime = NOW,
) -> Contributions:
    api = FakeGitHubApi()
    api.graphql = github
    async with open_client(api, TOKEN, now=now) as client:
        return await DataFetcher(client).fetch_contributions(owner, known=known, known_at=known_at)


def year(number: int, *, days: int = 365, count: int = 1) -> ContributionYear:
    return ContributionYear(number, days=(count,) * days, commits=count * days)


def months(window: DateRange) -> int:
    return window[1].month - window[0].month + 1


def lengths(requests: list[list[DateRange]]) -> list[list[int]]:
    return [[months(window) for window in windows] for windows in requests]


async def test_first_query_has_two_years_and_the_rest_four_each() -> None:
    github = ContributionGitHub(every_day_since(2009, until=TODAY))
    contributions = await fetch(github)
    assert [len(windows) for windows in github.requests] == [2, 4, 4, 4, 4]
    assert github.requests[0] == [THIS_YEAR, LAST_YEAR]
    assert [item.year for item in contributions.years] == list(range(2009, 2027))
    assert contributions.access is ContributionAccess.VISIBLE
    assert sum(sum(item.days) for item in contributions.years) == len(github.days)
    leap_year = contributions.years[3]
    assert (leap_year.year, len(leap_year.days), leap_year.commits) == (2012, 366, 366)
    assert (leap_year.issues, leap_year.pull_requests, leap_year.reviews) == (366, 732, 1098)


async def test_current_year_ends_today() -> None:
    github = ContributionGitHub({date(2026, 1, 2): 5, TODAY: 7, TODAY + timedelta(days=1): 9})
    contributions = await fetch(github)
    current = contributions.years[-1]
    assert len(current.days) == TODAY.timetuple().tm_yday
    assert (current.days[:3], current.days[-1]) == ((0, 5, 0), 7)


async def test_known_past_years_are_not_requested() -> None:
    known = Contributions((year(2015), year(2024, days=366), year(2025)))
    github = ContributionGitHub({date(2015, 3, 1): 1, date(2024, 3, 1): 1, date(2026, 3, 1): 1})
    contributions = await fetch(github, known=known)
    assert github.requests == [[THIS_YEAR]]
    assert contributions.years[:-1] == known.years
    assert sum(contributions.years[-1].days) == 1


async def test_known_year_that_was_not_over_is_requested_again() -> None:
    known = Contributions((year(2024, days=300), year(2025)))
    github = ContributionGitHub(every_day_since(2024, until=TODAY))
    contributions = await fetch(github, known=known)
    assert [[window[0].year for window in windows] for windows in github.requests] == [
        [2026],
        [2024],
    ]
    assert [len(item.days) for item in contributions.years][:2] == [366, 365]


@pytest.mark.parametrize(("day", "windows"), [(10, 2), (11, 1)])
async def test_last_year_is_requested_again_in_the_first_days_of_january(
    day: int, windows: int
) -> None:
    known = Contributions((year(2025, count=1),))
    github = ContributionGitHub(every_day_since(2025, until=date(2026, 1, day), count=2))
    contributions = await fetch(github, known=known, now=datetime(2026, 1, day, 1, tzinfo=UTC))
    assert [len(request) for request in github.requests] == [windows]
    assert contributions.years[0].days[0] == windows


@pytest.mark.parametrize(
    ("known_at", "windows"),
    [
        (datetime(2025, 12, 31, 1, tzinfo=UTC), [[THIS_YEAR, LAST_YEAR]]),
        (datetime(2026, 1, 10, tzinfo=UTC), [[THIS_YEAR, LAST_YEAR]]),
        (datetime(2026, 1, 11, tzinfo=UTC), [[THIS_YEAR]]),
    ],
)
async def test_year_that_was_last_fetched_before_its_end_is_requested_again(
    known_at: datetime, windows: list[list[DateRange]]
) -> None:
    github = ContributionGitHub(every_day_since(2025, until=TODAY))
    await fetch(github, known=Contributions((year(2025),)), known_at=known_at)
    assert github.requests == windows


async def test_at_most_three_queries_at_once() -> None:
    github = ContributionGitHub(every_day_since(2005, until=TODAY))
    in_flight, max_in_flight = 0, 0

    async def respond(request: httpx2.Request) -> httpx2.Response:
        nonlocal in_flight, max_in_flight
        in_flight += 1
        max_in_flight = max(max_in_flight, in_flight)
        for _ in range(5):
            await asyncio.sleep(0)
        in_flight -= 1
        return github(request)

    assert len((await fetch(respond)).years) == 22
    assert (len(github.requests), max_in_flight) == (6, 3)


async def test_years_before_git_and_in_the_future_are_not_requested() -> None:
    github = ContributionGitHub(every_day_since(2025, until=TODAY))
    github.years = [9999, 2027, 2026, 2025, 2004, 1970, 0, -1]
    contributions = await fetch(github)
    assert len(github.requests) == 1
    assert [item.year for item in contributions.years] == [2025, 2026]


async def test_owner_without_node_id_is_requested_by_login() -> None:
    api = FakeGitHubApi()
    api.graphql = ContributionGitHub({date(2026, 3, 1): 1})
    async with open_client(api, TOKEN) as client:
        await DataFetcher(client).fetch_contributions(Owner(1, "Ada"))
    (request,) = api.requests
    assert b"repositoryOwner(login: $login)" in request.content
    assert b'"login":"Ada"' in request.content


@pytest.mark.parametrize("refusal", TOO_HEAVY.values(), ids=TOO_HEAVY)
async def test_heavy_query_is_split_into_years(refusal: Refusal) -> None:
    github = ContributionGitHub(every_day_since(2019, until=TODAY))
    github.refuse = lambda windows: refusal() if len(windows) > 1 else None
    contributions = await fetch(github)
    assert lengths(github.requests[:3]) == [[11, 12], [11], [12]]
    assert [len(windows) for windows in github.requests[3:]].count(1) == 6
    assert sum(sum(item.days) for item in contributions.years) == len(github.days)


@pytest.mark.parametrize("refusal", TOO_HEAVY.values(), ids=TOO_HEAVY)
async def test_heavy_year_is_halved_down_to_months(refusal: Refusal) -> None:
    counts = {day: day.day for day in every_day_since(2025, until=TODAY)}
    github = ContributionGitHub(counts)
    github.refuse = lambda windows: (
        refusal() if len(windows) > 1 or months(windows[0]) > 1 else None
    )
    contributions = await fetch(github)
    assert sorted(lengths(github.requests)[-19:]) == sorted(
        [[12], [6], [6], *[[3]] * 4, *[[1]] * 12]
    )
    last_year, current = contributions.years
    for item in (last_year, current):
        expected = [count for day, count in counts.items() if day.year == item.year]
        assert item.days == tuple(expected)
        assert (item.commits, item.issues) == (sum(expected), len(expected))
        assert (item.pull_requests, item.reviews) == (2 * len(expected), 3 * len(expected))


async def test_month_that_fails_ends_the_fetch() -> None:
    github = ContributionGitHub(every_day_since(2005, until=TODAY))
    github.refuse = lambda windows: json_response({}, status=502)
    with pytest.raises(GitHubUnavailable):
        await fetch(github)
    assert lengths(github.requests) == [[11, 12], [11], [5], [2], [1]]


@pytest.mark.parametrize("status", [500, 401])
async def test_other_failure_is_not_split(status: int) -> None:
    github = ContributionGitHub(every_day_since(2005, until=TODAY))
    github.refuse = lambda windows: json_response({"message": "no"}, status=status)
    with pytest.raises(GitHubUnavailable):
        await fetch(github)
    assert len(github.requests) == 1


async def test_query_without_response_is_split() -> None:
    github = ContributionGitHub(every_day_since(2025, until=TODAY))

    async def respond(request: httpx2.Request) -> httpx2.Response:
        response = github(request)
        if len(github.requests) == 1:
            await asyncio.Event().wait()
        return response

    api = FakeGitHubApi()
    api.graphql = respond
    async with open_client(api, TOKEN, seconds=0.5) as client:
        contributions = await DataFetcher(client).fetch_contributions(ADA)
    assert lengths(github.requests) == [[11, 12], [11], [12]]
    assert len(contributions.years) == 2


async def test_refused_connection_is_not_split() -> None:
    github = ContributionGitHub({})

    def refuse(windows: list[DateRange]) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    github.refuse = refuse
    with pytest.raises(GitHubUnavailable):
        await fetch(github)
    assert len(github.requests) == 1


async def test_resource_limits_in_response_discard_all_its_years() -> None:
    """The years that the error does not name read 0 as well."""
    github = ContributionGitHub(every_day_since(2023, until=TODAY))
    empty = ContributionGitHub({})

    def refuse(windows: list[DateRange]) -> httpx2.Response | None:
        if len(windows) == 1:
            return None
        return resource_limits_exceeded(empty.data(windows), "owner", "w1")

    github.refuse = refuse
    contributions = await fetch(github)
    assert [sum(item.days) for item in contributions.years] == [
        365,
        366,
        365,
        len(contributions.years[-1].days),
    ]


async def test_year_that_becomes_empty_is_requested_again_in_halves() -> None:
    days = every_day_since(2025, until=TODAY)
    github = ContributionGitHub(days)
    empty = ContributionGitHub({})
    github.refuse = lambda windows: (
        json_response({"data": empty.data(windows)}) if len(github.requests) == 1 else None
    )
    contributions = await fetch(github, known=Contributions((year(2025), year(2026, days=300))))
    assert lengths(github.requests) == [[11], [5], [6]]
    assert sum(contributions.years[-1].days) == TODAY.timetuple().tm_yday


async def test_year_that_is_empty_twice_is_believed() -> None:
    github = ContributionGitHub({date(2025, 5, 1): 1})
    contributions = await fetch(github, known=Contributions((year(2025), year(2026, days=300))))
    assert lengths(github.requests) == [[11], [5], [6]]
    assert [sum(item.days) for item in contributions.years] == [365, 0]


@pytest.mark.parametrize(
    ("years", "profile", "access"),
    [
        ([], {"followers": 0, "following": 0, "originals": 0}, "hidden"),
        ([2026], {"followers": 0, "following": 0, "originals": 2}, "hidden"),
        ([2026], {"followers": 0, "following": 0, "originals": 0}, "visible"),
        ([], {"followers": 1, "following": 0, "originals": 2}, "visible"),
        ([], {"followers": 0, "following": 1, "originals": 2}, "visible"),
    ],
)
async def test_user_without_contributions(
    years: list[int], profile: dict[str, int], access: str
) -> None:
    github = ContributionGitHub({}, **profile)
    github.years = years
    contributions = await fetch(github)
    assert contributions.access == access
    assert len(github.requests) == 1
    assert (contributions == HIDDEN) == (access == "hidden")


async def test_contributions_of_an_earlier_year_are_not_hidden() -> None:
    github = ContributionGitHub({date(2012, 5, 1): 1}, followers=0, following=0)
    contributions = await fetch(github)
    assert contributions.access is ContributionAccess.VISIBLE
    assert [item.year for item in contributions.years] == [2012, 2025, 2026]


@pytest.mark.parametrize("is_hidden", [True, False])
async def test_hidden_after_visible_contributions_is_confirmed(is_hidden: bool) -> None:
    days = {} if is_hidden else every_day_since(2024, until=date(2024, 12, 31))
    github = ContributionGitHub(days, followers=0, following=0)
    known = Contributions((year(2023), year(2024, days=366), year(2025, count=0)))
    contributions = await fetch(github, known=known)
    assert github.requests[0] == [THIS_YEAR]
    assert github.requests[-1] == [(date(2024, 1, 1), date(2024, 12, 31))]
    assert (contributions == HIDDEN) == is_hidden


async def test_current_year_that_becomes_hidden_is_confirmed_in_halves() -> None:
    github = ContributionGitHub({}, followers=0, following=0)
    assert await fetch(github, known=Contributions((year(2025, count=0), year(2026)))) == HIDDEN
    assert lengths(github.requests) == [[11], [5], [6]]


async def test_organisation_has_none() -> None:
    contributions = await fetch(lambda request: json_response({"data": {"owner": ORGANISATION}}))
    assert contributions == Contributions(access=ContributionAccess.ORGANISATION)


PROFILE_PATH = ["/user/1"]


@pytest.mark.parametrize(
    ("known", "profile", "access", "paths"),
    [
        (None, {"type": "Organization"}, ContributionAccess.ORGANISATION, PROFILE_PATH),
        (None, {"type": "User"}, None, PROFILE_PATH),
        (None, {"type": "Organization", "id": 2}, None, PROFILE_PATH),
        (NEEDS_TOKEN, {"type": "Organization"}, None, []),
        (NO_CONTRIBUTIONS, {"type": "Organization"}, ContributionAccess.ORGANISATION, PROFILE_PATH),
        (NO_CONTRIBUTIONS, {"type": "User"}, None, PROFILE_PATH),
        (HIDDEN, {"type": "User"}, None, []),
    ],
)
async def test_without_token_only_an_organisation_is_recognised(
    known: Contributions | None,
    profile: dict[str, object],
    access: ContributionAccess | None,
    paths: list[str],
) -> None:
    api = FakeGitHubApi()
    api.rest = lambda request: json_response({"id": 1, "login": "Ada", "followers": 3} | profile)
    async with open_client(api) as client:
        fetcher = DataFetcher(client)
        if access is None:
            with pytest.raises(TokenRequired):
                await fetcher.fetch_contributions(ADA, known=known)
        else:
            contributions = await fetcher.fetch_contributions(ADA, known=known)
            assert contributions == Contributions(access=access)
    assert api.paths() == paths


@pytest.mark.parametrize("status", [404, 500])
async def test_without_token_an_unanswered_request_leaves_the_token_required(status: int) -> None:
    api = FakeGitHubApi()
    api.rest = lambda request: json_response({"message": "no"}, status=status)
    async with open_client(api) as client:
        with pytest.raises(TokenRequired):
            await DataFetcher(client).fetch_contributions(ADA)


async def test_deleted_owner_is_unknown() -> None:
    error = {"type": "NOT_FOUND", "path": ["owner"], "message": "Could not resolve to a node"}
    with pytest.raises(UnknownUser):
        await fetch(lambda request: json_response({"data": {"owner": None}, "errors": [error]}))


@pytest.mark.parametrize(
    "owner",
    [
        contribution_owner(),
        contribution_owner() | {"w0": None},
        ContributionGitHub({}, owner_id=2).data([THIS_YEAR, LAST_YEAR])["owner"],
    ],
    ids=["no window", "null", "another owner"],
)
async def test_incomplete_response_is_not_believed(owner: dict[str, object]) -> None:
    with pytest.raises(GitHubUnavailable):
        await fetch(lambda request: json_response({"data": {"owner": owner}}))


async def test_second_window_that_is_missing_is_not_believed() -> None:
    owner = ContributionGitHub({}).data([THIS_YEAR])["owner"]
    with pytest.raises(GitHubUnavailable):
        await fetch(lambda request: json_response({"data": {"owner": owner}}))

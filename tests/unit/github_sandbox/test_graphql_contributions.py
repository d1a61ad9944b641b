"""GraphQL queries for contributions."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from github_sandbox.faults import HeavyContributions
from github_sandbox.graphql import QueryRejected
from github_sandbox.query_cost import QueryCost
from github_sandbox.resolvers import QueryTimeout
from tests.unit.github_sandbox.queries import NOW, cost, execute, prepare

ONE_YEAR = """
query ($login: String!, $from: DateTime!, $to: DateTime!) {
  user(login: $login) {
    login
    createdAt
    contributionsCollection(from: $from, to: $to) {
      startedAt
      endedAt
      contributionYears
      hasAnyContributions
      hasAnyRestrictedContributions
      restrictedContributionsCount
      totalCommitContributions
      totalIssueContributions
      totalPullRequestContributions
      totalPullRequestReviewContributions
      totalRepositoryContributions
      contributionCalendar {
        totalContributions
        weeks {
          firstDay
          contributionDays { date weekday contributionCount contributionLevel color }
        }
      }
    }
  }
  rateLimit { cost remaining resetAt }
}
"""
FOUR_YEARS = """
query ($login: String!) {
  user(login: $login) {
    y2023: contributionsCollection(from: "2023-01-01T00:00:00Z", to: "2023-12-31T23:59:59Z") { ...C }
    y2024: contributionsCollection(from: "2024-01-01T00:00:00Z", to: "2024-12-31T23:59:59Z") { ...C }
    y2025: contributionsCollection(from: "2025-01-01T00:00:00Z", to: "2025-12-31T23:59:59Z") { ...C }
    y2026: contributionsCollection(from: "2026-01-01T00:00:00Z", to: "2026-12-31T23:59:59Z") { ...C }
  }
  rateLimit { cost remaining resetAt }
}
fragment C on ContributionsCollection {
  totalCommitContributions
  restrictedContributionsCount
  contributionCalendar {
    totalContributions weeks { contributionDays { date contributionCount } }
  }
}
"""
MANY_USERS = """
query ($from: DateTime!, $to: DateTime!, $l0: String!, $l1: String!, $l2: String!) {
  u0: user(login: $l0) { ...C }
  u1: user(login: $l1) { ...C }
  u2: user(login: $l2) { ...C }
  rateLimit { cost remaining resetAt }
}
fragment C on User {
  login
  contributionsCollection(from: $from, to: $to) {
    contributionCalendar {
      totalContributions weeks { contributionDays { date contributionCount } }
    }
  }
}
"""
YEAR_2025: dict[str, Any] = {"from": "2025-01-01T00:00:00Z", "to": "2025-12-31T23:59:59Z"}


def test_contributions_of_a_year() -> None:
    result = execute(ONE_YEAR, login="MIA-maintains", **YEAR_2025)
    assert "errors" not in result
    user = result["data"]["user"]
    collection = user["contributionsCollection"]
    assert (user["login"], collection["hasAnyContributions"]) == ("mia-maintains", True)
    assert collection["startedAt"] == datetime(2025, 1, 1, tzinfo=UTC)
    assert collection["endedAt"] == datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert collection["contributionYears"][0] == 2026
    calendar = collection["contributionCalendar"]
    days = [day for week in calendar["weeks"] for day in week["contributionDays"]]
    assert len(days) == 365
    assert days[0]["date"] == calendar["weeks"][0]["firstDay"] == date(2025, 1, 1)
    assert days[0]["weekday"] == 3
    total = sum(day["contributionCount"] for day in days)
    kinds = ("Commit", "Issue", "PullRequest", "PullRequestReview", "Repository")
    parts = [collection[f"total{kind}Contributions"] for kind in kinds]
    assert sum(parts) + collection["restrictedContributionsCount"] == total
    assert total == calendar["totalContributions"]
    assert all(parts)


def test_restricted_contributions_are_those_of_users_who_show_them() -> None:
    shown = {}
    for number in range(1, 11):
        user = execute(ONE_YEAR, login=f"dev-{number}", **YEAR_2025)["data"]["user"]
        collection = user["contributionsCollection"]
        count = collection["restrictedContributionsCount"]
        assert collection["hasAnyRestrictedContributions"] is (count > 0)
        shown[number] = count > 0
    assert set(shown.values()) == {True, False}


def test_contributions_of_four_years_in_one_query() -> None:
    result = execute(FOUR_YEARS, login="dev-3")
    years = result["data"]["user"]
    assert list(years) == ["y2023", "y2024", "y2025", "y2026"]
    assert [
        sum(len(week["contributionDays"]) for week in year["contributionCalendar"]["weeks"])
        for year in years.values()
    ] == [365, 366, 365, 365]


def test_contributions_of_an_organization_and_of_an_unknown_user_are_not_found() -> None:
    logins: dict[str, Any] = {"l0": "dev-1", "l1": "umbra-labs", "l2": "zz"}
    result = execute(MANY_USERS, **logins, **YEAR_2025)
    assert result["data"]["u0"]["login"] == "dev-1"
    assert result["data"]["u1"] is result["data"]["u2"] is None
    assert [(error["type"], error["path"], error["message"]) for error in result["errors"]] == [
        ("NOT_FOUND", ["u1"], "Could not resolve to a User with the login of 'umbra-labs'."),
        ("NOT_FOUND", ["u2"], "Could not resolve to a User with the login of 'zz'."),
    ]


def test_organizations_have_no_such_field() -> None:
    query = """{ repositoryOwner(login: "umbra-labs") {
      ... on Organization { contributionsCollection { startedAt } }
    } }"""
    with pytest.raises(QueryRejected, match="contributionsCollection"):
        prepare(query)


def test_window_of_more_than_a_year_is_an_error() -> None:
    window: dict[str, Any] = {"from": "2024-01-01T00:00:00Z", "to": "2025-01-01T00:00:01Z"}
    result = execute(ONE_YEAR, login="dev-1", **window)
    assert result["data"]["user"] is None
    [error] = result["errors"]
    assert error["path"] == ["user", "contributionsCollection"]
    assert error["message"] == ("The total time spanned by 'from' and 'to' must not exceed 1 year")


def test_default_window_is_the_last_year() -> None:
    query = """{ user(login: "dev-1") { contributionsCollection { startedAt endedAt } } }"""
    assert execute(query)["data"]["user"]["contributionsCollection"] == {
        "startedAt": NOW.replace(year=2025),
        "endedAt": NOW,
    }


@pytest.mark.parametrize(
    ("start", "first"),
    [
        ("2025-03-01T00:00:00+09:00", date(2025, 2, 28)),
        ("2025-03-01T00:00:00", date(2025, 3, 1)),
    ],
)
def test_times_are_converted_to_utc(start: str, first: date) -> None:
    window: dict[str, Any] = {"from": start, "to": "2025-03-09T00:00:00Z"}
    collection = execute(ONE_YEAR, login="dev-1", **window)["data"]["user"][
        "contributionsCollection"
    ]
    assert collection["contributionCalendar"]["weeks"][0]["firstDay"] == first


@pytest.mark.parametrize("value", ["yesterday", 5, ""])
def test_invalid_time_is_rejected(value: object) -> None:
    variables = {"login": "dev-1", "from": value, "to": "2025-03-09T00:00:00Z"}
    with pytest.raises(QueryRejected, match="from"):
        prepare(ONE_YEAR, **variables)


def test_private_profile_shows_nothing() -> None:
    user = execute(ONE_YEAR, login="priya-private", **YEAR_2025)["data"]["user"]
    collection = user["contributionsCollection"]
    assert (collection["contributionYears"], collection["hasAnyContributions"]) == ([], False)
    query = """{ user(login: "priya-private") {
      followers { totalCount } following { totalCount } repositories { totalCount }
    } }"""
    assert execute(query)["data"]["user"] == {
        "followers": {"totalCount": 0},
        "following": {"totalCount": 0},
        "repositories": {"totalCount": 7},
    }


def test_heavy_contributions_fail_for_long_windows_of_one_user() -> None:
    heavy = HeavyContributions("Dev-2", max_days=184)
    logins: dict[str, Any] = {"l0": "dev-1", "l1": "dev-2", "l2": "dev-3"}
    result = execute(MANY_USERS, heavy=heavy, **logins, **YEAR_2025)
    assert result["data"]["u1"] is None
    assert None not in (result["data"]["u0"], result["data"]["u2"])
    [error] = result["errors"]
    assert (error["type"], error["path"]) == (
        "RESOURCE_LIMITS_EXCEEDED",
        ["u1", "contributionsCollection"],
    )
    half: dict[str, Any] = {"from": "2025-07-01T00:00:00Z", "to": "2025-12-31T23:59:59Z"}
    assert "errors" not in execute(MANY_USERS, heavy=heavy, **logins, **half)


def test_heavy_contributions_can_time_out() -> None:
    heavy = HeavyContributions("dev-2", max_days=31, failure="502")
    with pytest.raises(QueryTimeout):
        execute(ONE_YEAR, heavy=heavy, login="dev-2", **YEAR_2025)
    assert "errors" not in execute(ONE_YEAR, heavy=heavy, login="dev-1", **YEAR_2025)


def test_contributions_cost_one_point() -> None:
    assert cost(ONE_YEAR, login="x", **YEAR_2025) == QueryCost()
    assert cost(FOUR_YEARS, login="x").points == 1

"""Responses of GitHub about contributions, languages and single repositories; `test_queries` validates them."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import httpx2

from tests.unit.github.fake_api import json_response

DAY = timedelta(days=1)

DateRange = tuple[date, date]


class ContributionGitHub:
    """
    GraphQL endpoint with the contributions of one user; `days` has the count of each day.

    It counts a commit for each contribution, and an issue for each day with contributions. `refuse` returns
    a response in place of the right one, or None. `requests` has the windows of each request.
    """

    def __init__(self, days: Mapping[date, int], **profile: Any) -> None:
        self.days = dict(days)
        self.years: list[int] = sorted({day.year for day in self.days}, reverse=True)
        self.profile = profile
        self.requests: list[list[DateRange]] = []
        self.refuse: Callable[[list[DateRange]], httpx2.Response | None] = lambda windows: None

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        variables = json.loads(request.content)["variables"]
        windows = list[DateRange]()
        while (index := len(windows)) < 10 and f"from{index}" in variables:
            start = datetime.fromisoformat(variables[f"from{index}"])
            end = datetime.fromisoformat(variables[f"to{index}"])
            assert start < end <= start.replace(year=start.year + 1), "longer than a year"
            windows.append((start.date(), end.date()))
        self.requests.append(windows)
        return self.refuse(windows) or json_response({"data": self.data(windows)})

    def data(self, windows: Iterable[DateRange]) -> dict[str, Any]:
        collections = {
            f"w{index}": self.collection(*window) for index, window in enumerate(windows)
        }
        collections["w0"]["contributionYears"] = self.years
        return {"owner": contribution_owner(**self.profile) | collections}

    def collection(self, start: date, end: date) -> dict[str, Any]:
        counted = [count for day, count in self.days.items() if start <= day <= end and count]
        # Cells beyond the window: no day may be counted twice, nor a day in the future.
        cells = [
            {"date": f"{day}", "contributionCount": self.days.get(day, 0)}
            for day in days_between(start - DAY, end + DAY)
        ]
        return {
            "totalCommitContributions": sum(counted),
            "totalIssueContributions": len(counted),
            "totalPullRequestContributions": 2 * len(counted),
            "totalPullRequestReviewContributions": 3 * len(counted),
            "contributionCalendar": {
                "weeks": [
                    {"contributionDays": cells[index : index + 7]}
                    for index in range(0, len(cells), 7)
                ]
            },
        }


def days_between(start: date, end: date) -> list[date]:
    return [start + index * DAY for index in range((end - start).days + 1)]


def every_day_since(year: int, *, until: date, count: int = 1) -> dict[date, int]:
    return dict.fromkeys(days_between(date(year, 1, 1), until), count)


def contribution_owner(
    *, followers: int = 3, following: int = 1, originals: int = 2, owner_id: int = 1
) -> dict[str, Any]:
    return {
        "__typename": "User",
        "databaseId": owner_id,
        "followers": {"totalCount": followers},
        "following": {"totalCount": following},
        "originals": {"totalCount": originals},
    }


def resource_limits_exceeded(data: Any, *path: str | int) -> httpx2.Response:
    message = "Resource limits for this query exceeded."
    error = {"type": "RESOURCE_LIMITS_EXCEEDED", "path": list(path), "message": message}
    return json_response({"data": data, "errors": [error]})


def languages_node(number: int, sizes: Mapping[str, int], *, total: int = 0) -> dict[str, Any]:
    edges = [{"size": size, "node": {"name": name}} for name, size in sizes.items()]
    total_size = total or sum(sizes.values())
    return {"databaseId": number, "languages": {"totalSize": total_size, "edges": edges}}


def languages_data(*nodes: Any, cursor: str | None = None, owner_id: int = 1) -> dict[str, Any]:
    repositories = {
        "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor},
        "nodes": list(nodes),
    }
    return {"owner": {"__typename": "User", "databaseId": owner_id, "repositories": repositories}}


def repository_data(**changes: Any) -> dict[str, Any]:
    repository = {
        "databaseId": 7,
        "name": "Engine",
        "description": "Computes\nnumbers",
        "isPrivate": False,
        "isFork": True,
        "isArchived": True,
        "stargazerCount": 3,
        "forkCount": 2,
        "primaryLanguage": {"name": "Python"},
        "licenseInfo": {"key": "mit", "name": "MIT License", "spdxId": "MIT"},
        "owner": {"databaseId": 1},
        **changes,
    }
    return {"repository": repository}


def repository_body(**changes: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "name": "Engine",
        "owner": {"id": 1, "login": "Ada"},
        "description": "Computes\nnumbers",
        "private": False,
        "fork": True,
        "archived": True,
        "stargazers_count": 3,
        "forks_count": 2,
        "language": "Python",
        "license": {"key": "mit", "name": "MIT License", "spdx_id": "MIT"},
        **changes,
    }


def identity_data() -> dict[str, Any]:
    return {
        "owner": {
            "__typename": "User",
            "databaseId": 1,
            "id": "U_1",
            "login": "Ada",
            "name": "Ada L",
        }
    }


def variables(request: httpx2.Request) -> dict[str, Any]:
    """Return the variables of a GraphQL request."""
    read: dict[str, Any] = json.loads(request.content)["variables"]
    return read


def not_found(request: httpx2.Request) -> httpx2.Response:
    """Respond as GitHub does for an unknown path."""
    return json_response({"message": "Not Found"}, status=404)

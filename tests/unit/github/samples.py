"""Responses of GitHub for tests: built from parts, or read from recordings."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from github_banners.github.protocol import GitHubResponse

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def build_response(
    body: Any = b"", *, status: int = 200, headers: Mapping[str, str] | None = None
) -> GitHubResponse:
    """Build a response; a body that is not bytes is encoded as JSON."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return GitHubResponse(status, headers or {}, encoded)


def rate_limit_headers(*, remaining: int, limit: int = 5000, reset_in: timedelta) -> dict[str, str]:
    """Build the headers with the remaining requests; `reset_in` counts from NOW."""
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int((NOW + reset_in).timestamp())),
    }


def recorded_responses(path: Path) -> list[GitHubResponse]:
    """Read a recorded exchange, all its pages in order; a list is the body of a response with status 200."""
    read = json.loads(path.read_bytes())
    if isinstance(read, list):
        return [build_response(read)]
    return [_recorded_response(exchange["response"]) for exchange in read.get("exchanges", [read])]


def _recorded_response(response: Mapping[str, Any]) -> GitHubResponse:
    # Recorders replaced tokens by a word in angle brackets, which is invalid in an address.
    headers = {
        name.lower(): (value if isinstance(value, str) else ", ".join(value)).replace(
            "<TOKEN>", "TOKEN"
        )
        for name, value in response["headers"].items()
    }
    text = response.get("body_text")
    body = json.dumps(response["body"]) if text is None else text
    return GitHubResponse(response["status"], headers, body.encode())


def repository_node(number: int, **changes: Any) -> dict[str, Any]:
    """Build the GraphQL node of a repository."""
    return {
        "databaseId": number,
        "name": f"repository-{number}",
        "stargazerCount": 3,
        "forkCount": 2,
        "isFork": False,
        "primaryLanguage": {"name": "Python"},
        **changes,
    }


def owner_node(*nodes: Any, total: int | None = None, cursor: str | None = None) -> dict[str, Any]:
    """Build the GraphQL node of an owner with these repositories."""
    return {
        "__typename": "User",
        "id": "U_1",
        "login": "Ada",
        "databaseId": 1,
        "name": "Ada L",
        "repositories": {
            "totalCount": len(nodes) if total is None else total,
            "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor},
            "nodes": list(nodes),
        },
    }

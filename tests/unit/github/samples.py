"""Responses of GitHub for tests: built from parts, or read from recordings."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from github_banners.github.protocol import GitHubResponse

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def reply(
    body: Any = b"", *, status: int = 200, headers: Mapping[str, str] | None = None
) -> GitHubResponse:
    """Make an answer; a body that is not bytes is written as JSON."""
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    return GitHubResponse(status, headers or {}, written)


def rate(*, remaining: int, limit: int = 5000, reset_in: timedelta) -> dict[str, str]:
    """Write the headers that tell what is left."""
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int((NOW + reset_in).timestamp())),
    }


def recorded_replies(path: Path) -> list[GitHubResponse]:
    """Read a recorded exchange, all its pages in order; a bare body was answered with 200."""
    read = json.loads(path.read_bytes())
    if isinstance(read, list):
        return [reply(read)]
    return [_recorded_reply(exchange["response"]) for exchange in read.get("exchanges", [read])]


def _recorded_reply(response: Mapping[str, Any]) -> GitHubResponse:
    # Recorders wrote tokens over with a word in angle brackets, which no address can hold.
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
    """Make a repository as GraphQL tells of it."""
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
    """Make an owner as GraphQL tells of one."""
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

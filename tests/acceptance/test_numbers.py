"""The six numbers that a running service gives, against a count by hand of GitHub's own answers."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import Running
from tests.resources import RECORDINGS, needs_recordings

pytestmark = pytest.mark.postgres

WHOLE = {
    "wycats": "exchange.repos.wycats.2014-04.json",
    "bitwiseman": "exchange.repos.bitwiseman.2019-10.json",
    "peter-murach": "exchange.repos.peter-murach.2014-04.json",
    "rspec": "exchange.repos.rspec.2014-04.json",
    "juliasilge": "repos.juliasilge.2016-10.complete.json",
}


def recorded(path: Path) -> list[dict[str, Any]]:
    body = json.loads(path.read_bytes())
    if isinstance(body, list):
        return body
    return [one for exchange in body["exchanges"] for one in exchange["response"]["body"]]


def count_by_hand(repositories: list[dict[str, Any]]) -> dict[str, Any]:
    own = [one for one in repositories if not one["fork"]]
    return {
        "total_repos": len(repositories),
        "original_repos": len(own),
        "forked_repos": len(repositories) - len(own),
        "total_stars": sum(one.get("stargazers_count", one["watchers_count"]) for one in own),
        "total_forks": sum(one["forks_count"] for one in own),
        "languages": dict(Counter(one["language"] for one in own if one["language"])),
    }


@needs_recordings
@pytest.mark.parametrize("login", WHOLE)
def test_served_numbers_equal_independent_count(service: Running, login: str) -> None:
    by_hand = count_by_hand(recorded(RECORDINGS / "rest" / WHOLE[login]))
    answer = service.get(f"/banners/preview?username={login}&format=json")
    assert answer.status_code == 200
    assert answer.json()["stats"] == by_hand
    if login == "wycats":
        shown = [by_hand[name] for name in ("total_repos", "total_stars", "total_forks")]
        assert shown == [150, 11558, 1635]


def test_over_2000_repositories_are_all_counted(service: Running) -> None:
    answer = service.get("/banners/preview?username=hana-hoards&format=json")
    assert answer.json()["stats"]["total_repos"] == 2345

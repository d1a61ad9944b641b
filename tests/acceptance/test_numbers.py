"""The six numbers of a running service equal an independent count of GitHub's recorded responses."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import Running
from tests.resources import RECORDINGS, needs_recordings

pytestmark = pytest.mark.postgres

COMPLETE_LISTS = {
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
    return [
        repository for exchange in body["exchanges"] for repository in exchange["response"]["body"]
    ]


def count_by_hand(repositories: list[dict[str, Any]]) -> dict[str, Any]:
    own = [repository for repository in repositories if not repository["fork"]]
    return {
        "total_repos": len(repositories),
        "original_repos": len(own),
        "forked_repos": len(repositories) - len(own),
        "total_stars": sum(
            repository.get("stargazers_count", repository["watchers_count"]) for repository in own
        ),
        "total_forks": sum(repository["forks_count"] for repository in own),
        "languages": dict(
            Counter(repository["language"] for repository in own if repository["language"])
        ),
    }


@needs_recordings
@pytest.mark.parametrize("login", COMPLETE_LISTS)
def test_served_numbers_equal_independent_count(service: Running, login: str) -> None:
    by_hand = count_by_hand(recorded(RECORDINGS / "rest" / COMPLETE_LISTS[login]))
    response = service.get(f"/banners/preview?username={login}&format=json")
    assert response.status_code == 200
    assert response.json()["stats"] == by_hand
    if login == "wycats":
        shown = [by_hand[name] for name in ("total_repos", "total_stars", "total_forks")]
        assert shown == [150, 11558, 1635]


def test_over_2000_repositories_are_all_counted(service: Running) -> None:
    response = service.get("/banners/preview?username=hana-hoards&format=json")
    assert response.json()["stats"]["total_repos"] == 2345

"""Recorded responses of GitHub: each is parsed, and the numbers equal a count by hand."""

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from github_banners.github import graphql, rest
from github_banners.github.protocol import (
    Failure,
    FailureKind,
    Resource,
    classify,
    parse_rate_limit,
)
from github_banners.models import Repository, Stats, aggregate
from github_banners.options import parse_options
from github_banners.stats.selection import aggregate_selected
from tests.resources import RECORDINGS, needs_recordings
from tests.unit.github.samples import NOW, build_response, recorded_responses

pytestmark = needs_recordings

MINUTE = timedelta(minutes=1)
BAD_TOKEN = FailureKind.BAD_TOKEN
ERRORS = {
    "401.bad-credentials.2016": Failure(BAD_TOKEN, "Bad credentials"),
    "401.bad-credentials.rest.2020s": Failure(BAD_TOKEN, "Bad credentials"),
    "401.requires-authentication.2014": Failure(BAD_TOKEN, "Requires authentication"),
    "403.secondary-rate-limit.TEMPLATED": Failure(
        FailureKind.SECONDARY_LIMIT,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    ),
    "404.org-not-found.2020": Failure(FailureKind.NOT_FOUND, "Not Found"),
    "404.user-not-found.2016": Failure(FailureKind.NOT_FOUND, "Not Found"),
    "422.invalid-request": Failure(
        FailureKind.UNREADABLE,
        'Invalid request. No subschema in "anyOf" matched. "conclusion" wasn\'t supplied. '
        'completed is not a member of ["queued", "in_progress"].',
    ),
    "429.secondary-rate-limit.TEMPLATED": Failure(
        FailureKind.SECONDARY_LIMIT,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again",
        NOW + timedelta(seconds=8),
    ),
    "503.unicorn-html": Failure(FailureKind.SERVER, "status 503"),
    "200.graphql-unprocessable": None,
}
COMPLETE_LISTS = {
    "exchange.repos.wycats.2014-04": 150,
    "exchange.repos.bitwiseman.2019-10": 169,
    "exchange.repos.peter-murach.2014-04": 27,
    "exchange.repos.rspec.2014-04": 15,
    "exchange.repos.EMPTY-user": 0,
    "repos.juliasilge.2016-10.complete": 26,
}


def names(folder: str, pattern: str = "*") -> list[str]:
    return sorted(path.stem for path in (RECORDINGS / folder).glob(f"{pattern}.json"))


def recording_path(folder: str, name: str) -> Path:
    return RECORDINGS / folder / f"{name}.json"


def recorded_json(folder: str, name: str) -> Any:
    return json.loads(recording_path(folder, name).read_bytes())


def test_recorded_errors_are_all_expected() -> None:
    assert names("errors") == sorted(ERRORS)


@pytest.mark.parametrize("name", ERRORS)
def test_classify_recorded_error(name: str) -> None:
    (response,) = recorded_responses(recording_path("errors", name))
    assert classify(response, resource=Resource.CORE, now=NOW) == ERRORS[name]


@pytest.mark.parametrize("name", ERRORS)
def test_parse_rate_limit_of_recorded_error(name: str) -> None:
    (response,) = recorded_responses(recording_path("errors", name))
    rate_limit = parse_rate_limit(response, resource=Resource.CORE, now=NOW)
    if name.startswith("401") or "TEMPLATED" in name:
        assert rate_limit is None
    else:
        assert rate_limit is not None
        assert str(rate_limit.remaining) == response.headers["x-ratelimit-remaining"]


def test_parse_recorded_query_error_with_status_200_is_unreadable() -> None:
    (response,) = recorded_responses(recording_path("errors", "200.graphql-unprocessable"))
    failure = graphql.parse_owners_by_id(response, now=NOW)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.UNREADABLE
    assert failure.message.startswith("seate does not have a verified email")


def test_parse_recorded_unknown_user_is_not_found() -> None:
    """The recorded query used `user(login:)`, which adds an error that ours does not get."""
    body = recorded_json("graphql", "error.user-not-found")["data"]
    body["data"]["u0"] = body["data"].pop("user")
    responses = graphql.parse_owners_by_login(
        build_response(body), graphql.build_login_query(["alekinho"]), now=NOW
    )
    assert responses == [Failure(FailureKind.NOT_FOUND)]


@pytest.mark.parametrize(
    ("name", "kind", "retry_at"),
    [
        ("rate_limit", FailureKind.PRIMARY_LIMIT, NOW + MINUTE),
        ("exceeded", FailureKind.SECONDARY_LIMIT, None),
    ],
)
def test_parse_recorded_limits_of_graphql(
    name: str, kind: FailureKind, retry_at: datetime | None
) -> None:
    body = recorded_json("graphql", "error.rate-limited-and-secondary")[name]["data"]
    failure = graphql.parse_owners_by_login(
        build_response(body), graphql.build_login_query(["x"]), now=NOW
    )
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.retry_at) == (kind, retry_at)
    assert "limit" in failure.message


def test_parse_recorded_page_of_graphql() -> None:
    recorded = recorded_json("graphql", "user.ANON-cicirello.2021.single")
    node = recorded["responses"]["repositories_pages"][0]["data"]["user"]
    listed = node["repositories"]["nodes"]
    for number, repository in enumerate(listed):
        repository["databaseId"] = number
    page = graphql.parse_repository_page(build_response({"data": {"node": node}}), now=NOW)
    assert isinstance(page, graphql.RepositoryPage)
    assert page.next_cursor is None
    assert len(page.repositories) == 31
    originals = [node for node in listed if not node["isFork"]]
    stats = aggregate(page.repositories)
    assert stats.total_stars == sum(repository["stargazerCount"] for repository in originals)
    assert stats.total_forks == sum(repository["forkCount"] for repository in originals)


def test_parse_recorded_page_with_missing_field_names_it() -> None:
    body = recorded_json("graphql", "user.unknown.2023-10.repos100of128")["data"]
    body["data"]["node"] = body["data"].pop("user")
    failure = graphql.parse_repository_page(build_response(body), now=NOW)
    assert isinstance(failure, Failure)
    assert "`name`" in failure.message or "`pageInfo`" in failure.message


@pytest.mark.parametrize("name", names("rest", "exchange.user.*"))
def test_parse_recorded_owner(name: str) -> None:
    (response,) = recorded_responses(recording_path("rest", name))
    body = json.loads(response.body)
    profile = rest.parse_owner(response)
    assert isinstance(profile, rest.OwnerProfile)
    assert (profile.owner.id, profile.owner.login) == (body["id"], body["login"])
    assert profile.owner.node_id == body.get("node_id")
    assert profile.owner.display_name == (body.get("name") or None)
    assert profile.public_repos == body["public_repos"]


@pytest.mark.parametrize("name", names("rest"))
def test_classify_recorded_rest_response(name: str) -> None:
    for response in recorded_responses(recording_path("rest", name)):
        failure = classify(response, resource=Resource.CORE, now=NOW)
        assert (failure is None) == (response.status in {200, 304})
        if failure is not None:
            assert failure == Failure(FailureKind.UNREADABLE, "Moved Permanently")


@pytest.mark.parametrize("name", names("rest", "*repos.*.partial") + names("rest", "*.sferik.*"))
def test_parse_recorded_first_page(name: str) -> None:
    response = recorded_responses(recording_path("rest", name))[0]
    body = json.loads(response.body)
    if isinstance(body, list):
        page = rest.parse_page(response, number=1)
        assert isinstance(page, rest.Page)
        assert [repository.id for repository in page.repositories] == [
            record["id"] for record in body
        ]
        assert page.last == (3 if "sferik" in name else 1)
    else:
        assert body["login"] == "sferik"


def count_by_hand(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    originals = [record for record in bodies if not record["fork"]]
    return {
        "total_repos": len(bodies),
        "original_repos": len(originals),
        "forked_repos": len(bodies) - len(originals),
        "total_stars": sum(repository["stargazers_count"] for repository in originals),
        "total_forks": sum(repository["forks_count"] for repository in originals),
        "languages": dict(
            Counter(repository["language"] for repository in originals if repository["language"])
        ),
    }


def parse_repositories(name: str) -> tuple[Repository, ...]:
    responses = recorded_responses(recording_path("rest", name))
    pages = [rest.parse_page(response, number=n) for n, response in enumerate(responses, 1)]
    return rest.merge_pages(page for page in pages if isinstance(page, rest.Page))


def compute_stats(name: str) -> Stats:
    return aggregate(parse_repositories(name))


@pytest.mark.parametrize("name", COMPLETE_LISTS)
def test_aggregate_recorded_list_equals_a_count_by_hand(name: str) -> None:
    responses = recorded_responses(recording_path("rest", name))
    by_hand = count_by_hand([body for response in responses for body in json.loads(response.body)])
    assert msgspec.to_builtins(compute_stats(name)) == by_hand
    assert by_hand["total_repos"] == COMPLETE_LISTS[name]


@pytest.mark.parametrize("name", COMPLETE_LISTS)
@pytest.mark.parametrize("include", ["", "archived", "forks", "archived,forks"])
def test_aggregate_selected_recorded_list_equals_a_count_by_hand(name: str, include: str) -> None:
    responses = recorded_responses(recording_path("rest", name))
    bodies = [body for response in responses for body in json.loads(response.body)]
    excluded = [body["name"] for body in bodies[::5]]
    by_hand = dict.fromkeys(
        ("total_repos", "original_repos", "forked_repos", "total_stars", "total_forks"), 0
    )
    languages: Counter[str] = Counter()
    for body in bodies:
        is_archived = body.get("archived", False)  # recordings from before 2017 lack the field
        if body["name"] in excluded or (is_archived and "archived" not in include):
            continue
        by_hand["total_repos"] += 1
        by_hand["forked_repos" if body["fork"] else "original_repos"] += 1
        if not body["fork"] or "forks" in include:
            by_hand["total_stars"] += body["stargazers_count"]
            by_hand["total_forks"] += body["forks_count"]
            languages.update(filter(None, [body["language"]]))
    options = parse_options({"include": include, "exclude_repos": excluded[:50]})
    assert len(excluded) <= 50
    selected = aggregate_selected(parse_repositories(name), options)
    assert msgspec.to_builtins(selected) == by_hand | {"languages": dict(languages)}


def test_aggregate_selected_leaves_out_recorded_archived_repositories() -> None:
    (response,) = recorded_responses(recording_path("rest", "repos.gaearon.2021-08.partial"))
    bodies = json.loads(response.body)
    page = rest.parse_page(response, number=1)
    assert isinstance(page, rest.Page)
    archived = {body["id"] for body in bodies if body["archived"]}
    assert (
        {repository.id for repository in page.repositories if repository.is_archived}
        == archived
        != set()
    )
    remaining = [body for body in bodies if not body["archived"]]
    selected = aggregate_selected(page.repositories, parse_options({"include": ""}))
    by_hand = count_by_hand(remaining)
    assert msgspec.to_builtins(selected) == by_hand
    assert by_hand["total_repos"] < len(bodies)


def test_aggregate_recorded_list_has_known_numbers() -> None:
    stats = compute_stats("exchange.repos.wycats.2014-04")
    assert (stats.total_repos, stats.original_repos, stats.forked_repos) == (150, 93, 57)
    assert (stats.total_stars, stats.total_forks) == (11558, 1635)
    assert next(iter(stats.languages)) == "Ruby"


@pytest.mark.parametrize(
    ("name", "last"),
    [("exchange.repos.bitwiseman.2019-10", 6), ("exchange.repos.wycats.2014-04", 2)],
)
def test_parse_recorded_link_header_has_the_last_page(name: str, last: int) -> None:
    responses = recorded_responses(recording_path("rest", name))
    assert "/user/" in responses[0].headers["link"]
    pages = [rest.parse_page(response, number=n) for n, response in enumerate(responses, 1)]
    assert [page.last for page in pages if isinstance(page, rest.Page)] == [last] * last

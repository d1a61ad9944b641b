"""Sizes of languages, over both protocols."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from github_banners.errors import (
    GitHubUnavailable,
    TokenRequired,
)
from github_banners.github.credentials import create_accounts
from github_banners.github.data_fetcher import DataFetcher
from github_banners.github.protocol import RateLimit, Resource
from github_banners.models import Owner, Repository, RepositoryLanguages
from tests.unit.github.data_samples import (
    languages_data,
    languages_node,
    not_found,
    variables,
)
from tests.unit.github.fake_api import FakeGitHubApi, json_response, open_client
from tests.unit.github.samples import NOW

TOKEN = "ghp_Token0123456789"
ADA = Owner(1, "Ada", node_id="U_1")


pytestmark = pytest.mark.usefixtures("retry_without_delay")


async def fetch_sizes(
    api: FakeGitHubApi, *tokens: str, repositories: int = 0, **options: Any
) -> tuple[RepositoryLanguages, ...]:
    known = [Repository(number, f"repository-{number}") for number in range(repositories)]
    async with open_client(api, *tokens, **options) as client:
        return await DataFetcher(client).fetch_language_sizes(ADA, known)


async def test_sizes_follow_the_cursor(api: FakeGitHubApi) -> None:
    pages = {
        None: languages_data(languages_node(7, {"Python": 5, "C": 9}), cursor="a"),
        "a": languages_data(languages_node(8, {}), None, cursor="b"),
        "b": languages_data(languages_node(9, {"C": 1}, total=4)),
    }
    api.graphql = lambda request: json_response({"data": pages[variables(request)["after"]]})
    assert await fetch_sizes(api, TOKEN) == (
        RepositoryLanguages(7, {"C": 9, "Python": 5}),
        RepositoryLanguages(8, {}),
        RepositoryLanguages(9, {"C": 1}, other=3),
    )
    assert [variables(request)["first"] for request in api.requests] == [100, 100, 100]


async def test_sizes_of_a_thousand_repositories_cost_ten_queries(api: FakeGitHubApi) -> None:
    def respond(request: httpx2.Request) -> httpx2.Response:
        start = int(variables(request)["after"] or 0)
        end = start + variables(request)["first"]
        nodes = [languages_node(number, {"C": 1}) for number in range(start, end)]
        return json_response(
            {"data": languages_data(*nodes, cursor=str(end) if end < 1000 else None)}
        )

    api.graphql = respond
    assert len(await fetch_sizes(api, TOKEN)) == 1000
    assert api.paths() == ["/graphql"] * 10


@pytest.mark.parametrize("limit", [50, 25])
async def test_heavy_page_of_sizes_gets_smaller(api: FakeGitHubApi, limit: int) -> None:
    api.graphql = lambda request: (
        json_response({}, status=502)
        if variables(request)["first"] > limit
        else json_response({"data": languages_data(languages_node(7, {"C": 1}))})
    )
    assert len(await fetch_sizes(api, TOKEN)) == 1
    firsts = [variables(request)["first"] for request in api.requests]
    assert firsts == [first for first in (100, 50, 25) if first >= limit]


async def test_smallest_page_of_sizes_that_is_too_heavy_ends_the_fetch(api: FakeGitHubApi) -> None:
    api.graphql = lambda request: json_response({}, status=504)
    with pytest.raises(GitHubUnavailable):
        await fetch_sizes(api, TOKEN)
    assert len(api.requests) == 3


async def test_sizes_skip_an_invalid_record(api: FakeGitHubApi) -> None:
    nodes = [languages_node(7, {"C": -1}), languages_node(8, {"C": 1 << 50}), {"databaseId": 9}]
    api.graphql = lambda request: json_response({"data": languages_data(*nodes)})
    assert await fetch_sizes(api, TOKEN) == (RepositoryLanguages(9, {}),)


async def test_sizes_end_at_a_repeated_cursor(api: FakeGitHubApi) -> None:
    following = {None: "a", "a": "b", "b": "a"}
    api.graphql = lambda request: json_response(
        {"data": languages_data(cursor=following[variables(request)["after"]])}
    )
    assert await fetch_sizes(api, TOKEN) == ()
    assert [variables(request)["after"] for request in api.requests] == [None, "a", "b"]


async def test_sizes_skip_a_language_without_a_name(api: FakeGitHubApi) -> None:
    node = languages_node(7, {"C": 1, "\n": 2}, total=3)
    api.graphql = lambda request: json_response({"data": languages_data(node)})
    assert await fetch_sizes(api, TOKEN) == (RepositoryLanguages(7, {"C": 1}, other=2),)


async def test_sizes_of_a_listed_repository_without_a_valid_record_are_empty(
    api: FakeGitHubApi,
) -> None:
    nodes = [languages_node(0, {"C": 5}), languages_node(1, {"C": -1})]
    api.graphql = lambda request: json_response({"data": languages_data(*nodes)})
    assert await fetch_sizes(api, TOKEN, repositories=3) == (
        RepositoryLanguages(0, {"C": 5}),
        RepositoryLanguages(1, {}),
        RepositoryLanguages(2, {}),
    )


async def test_sizes_without_a_valid_record_are_refused(api: FakeGitHubApi) -> None:
    api.graphql = lambda request: json_response({"data": languages_data(None, None)})
    with pytest.raises(GitHubUnavailable):
        await fetch_sizes(api, TOKEN)


@pytest.mark.parametrize("body", [{"C": -1}, {"C": 1 << 50}, [], {str(n): 1 for n in range(2000)}])
async def test_invalid_sizes_over_rest_are_refused(api: FakeGitHubApi, body: Any) -> None:
    api.rest = lambda request: json_response(body)
    with pytest.raises(GitHubUnavailable):
        await fetch_sizes(api, repositories=1)


async def test_sizes_of_another_owner_are_refused(api: FakeGitHubApi) -> None:
    api.graphql = lambda request: json_response({"data": languages_data(owner_id=2)})
    with pytest.raises(GitHubUnavailable):
        await fetch_sizes(api, TOKEN)


async def test_sizes_over_rest_keep_the_ten_largest(api: FakeGitHubApi) -> None:
    sizes = {f"Language {number:02}": 100 - number for number in range(13)}
    api.rest = lambda request: json_response(sizes)
    (languages,) = await fetch_sizes(api, repositories=1)
    assert api.paths() == ["/repos/Ada/repository-0/languages"]
    assert list(languages.sizes.items()) == list(sizes.items())[:10]
    assert languages.other == 90 + 89 + 88


async def test_sizes_over_rest_of_a_deleted_repository_are_empty(api: FakeGitHubApi) -> None:
    known = [
        Repository(1, "fork", is_fork=True),
        Repository(2, "deleted"),
        Repository(3, "a b"),
    ]
    api.rest = lambda request: (
        not_found(request) if "deleted" in request.url.path else json_response({"C": 1})
    )
    async with open_client(api) as client:
        languages = await DataFetcher(client).fetch_language_sizes(ADA, known)
    assert languages == (
        RepositoryLanguages(1, {"C": 1}),
        RepositoryLanguages(3, {"C": 1}),
        RepositoryLanguages(2, {}),
    )
    assert [request.url.raw_path for request in api.requests] == [
        b"/repos/Ada/fork/languages",
        b"/repos/Ada/deleted/languages",
        b"/repos/Ada/a%20b/languages",
    ]


@pytest.mark.parametrize(("repositories", "is_covered"), [(40, True), (41, False)])
async def test_sizes_over_rest_leave_a_reserve(
    api: FakeGitHubApi, repositories: int, is_covered: bool
) -> None:
    api.rest = lambda request: json_response({"C": 1})
    if is_covered:
        assert len(await fetch_sizes(api, repositories=repositories)) == repositories
    else:
        with pytest.raises(TokenRequired):
            await fetch_sizes(api, repositories=repositories)
    assert len(api.requests) == (repositories if is_covered else 0)


async def test_sizes_over_rest_count_what_is_spent(api: FakeGitHubApi) -> None:
    accounts = create_accounts([])
    accounts[0].update_rate_limit(
        RateLimit(Resource.CORE, limit=60, remaining=21, reset_at=NOW + timedelta(hours=1))
    )
    api.rest = lambda request: json_response({"C": 1})
    with pytest.raises(TokenRequired):
        await fetch_sizes(api, accounts=accounts, repositories=2)
    assert api.requests == []
    assert len(await fetch_sizes(api, accounts=accounts, repositories=1)) == 1

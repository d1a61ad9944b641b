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
from tests.unit.github.samples import NOW
from tests.unit.github.wire import Wire, opened, said

TOKEN = "ghp_Token0123456789"
ADA = Owner(1, "Ada", node_id="U_1")


pytestmark = pytest.mark.usefixtures("retry_without_delay")


async def fetch_sizes(
    wire: Wire, *tokens: str, repositories: int = 0, **options: Any
) -> tuple[RepositoryLanguages, ...]:
    known = [Repository(number, f"repository-{number}") for number in range(repositories)]
    async with opened(wire, *tokens, **options) as client:
        return await DataFetcher(client).fetch_language_sizes(ADA, known)


async def test_sizes_follow_the_cursor(wire: Wire) -> None:
    pages = {
        None: languages_data(languages_node(7, {"Python": 5, "C": 9}), cursor="a"),
        "a": languages_data(languages_node(8, {}), None, cursor="b"),
        "b": languages_data(languages_node(9, {"C": 1}, total=4)),
    }
    wire.graphql = lambda request: said({"data": pages[variables(request)["after"]]})
    assert await fetch_sizes(wire, TOKEN) == (
        RepositoryLanguages(7, {"C": 9, "Python": 5}),
        RepositoryLanguages(8, {}),
        RepositoryLanguages(9, {"C": 1}, other=3),
    )
    assert [variables(request)["first"] for request in wire.asked] == [100, 100, 100]


async def test_sizes_of_a_thousand_repositories_cost_ten_queries(wire: Wire) -> None:
    def respond(request: httpx2.Request) -> httpx2.Response:
        start = int(variables(request)["after"] or 0)
        end = start + variables(request)["first"]
        nodes = [languages_node(number, {"C": 1}) for number in range(start, end)]
        return said({"data": languages_data(*nodes, cursor=str(end) if end < 1000 else None)})

    wire.graphql = respond
    assert len(await fetch_sizes(wire, TOKEN)) == 1000
    assert wire.paths() == ["/graphql"] * 10


@pytest.mark.parametrize("limit", [50, 25])
async def test_heavy_page_of_sizes_gets_smaller(wire: Wire, limit: int) -> None:
    wire.graphql = lambda request: (
        said({}, status=502)
        if variables(request)["first"] > limit
        else said({"data": languages_data(languages_node(7, {"C": 1}))})
    )
    assert len(await fetch_sizes(wire, TOKEN)) == 1
    firsts = [variables(request)["first"] for request in wire.asked]
    assert firsts == [first for first in (100, 50, 25) if first >= limit]


async def test_smallest_page_of_sizes_that_is_too_heavy_ends_the_fetch(wire: Wire) -> None:
    wire.graphql = lambda request: said({}, status=504)
    with pytest.raises(GitHubUnavailable):
        await fetch_sizes(wire, TOKEN)
    assert len(wire.asked) == 3


async def test_sizes_skip_an_invalid_record(wire: Wire) -> None:
    nodes = [languages_node(7, {"C": -1}), languages_node(8, {"C": 1 << 50}), {"databaseId": 9}]
    wire.graphql = lambda request: said({"data": languages_data(*nodes)})
    assert await fetch_sizes(wire, TOKEN) == (RepositoryLanguages(9, {}),)


async def test_sizes_end_at_a_repeated_cursor(wire: Wire) -> None:
    following = {None: "a", "a": "b", "b": "a"}
    wire.graphql = lambda request: said(
        {"data": languages_data(cursor=following[variables(request)["after"]])}
    )
    assert await fetch_sizes(wire, TOKEN) == ()
    assert [variables(request)["after"] for request in wire.asked] == [None, "a", "b"]


async def test_sizes_skip_a_language_without_a_name(wire: Wire) -> None:
    node = languages_node(7, {"C": 1, "\n": 2}, total=3)
    wire.graphql = lambda request: said({"data": languages_data(node)})
    assert await fetch_sizes(wire, TOKEN) == (RepositoryLanguages(7, {"C": 1}, other=2),)


async def test_sizes_without_a_valid_record_are_refused(wire: Wire) -> None:
    wire.graphql = lambda request: said({"data": languages_data(None, None)})
    with pytest.raises(GitHubUnavailable):
        await fetch_sizes(wire, TOKEN)


@pytest.mark.parametrize("body", [{"C": -1}, {"C": 1 << 50}, [], {str(n): 1 for n in range(2000)}])
async def test_invalid_sizes_over_rest_are_refused(wire: Wire, body: Any) -> None:
    wire.rest = lambda request: said(body)
    with pytest.raises(GitHubUnavailable):
        await fetch_sizes(wire, repositories=1)


async def test_sizes_of_another_owner_are_refused(wire: Wire) -> None:
    wire.graphql = lambda request: said({"data": languages_data(owner_id=2)})
    with pytest.raises(GitHubUnavailable):
        await fetch_sizes(wire, TOKEN)


async def test_sizes_over_rest_keep_the_ten_largest(wire: Wire) -> None:
    sizes = {f"Language {number:02}": 100 - number for number in range(13)}
    wire.rest = lambda request: said(sizes)
    (languages,) = await fetch_sizes(wire, repositories=1)
    assert wire.paths() == ["/repos/Ada/repository-0/languages"]
    assert list(languages.sizes.items()) == list(sizes.items())[:10]
    assert languages.other == 90 + 89 + 88


async def test_sizes_over_rest_leave_out_forks_and_deleted_repositories(wire: Wire) -> None:
    known = [
        Repository(1, "fork", is_fork=True),
        Repository(2, "deleted"),
        Repository(3, "a b"),
    ]
    wire.rest = lambda request: (
        not_found(request) if "deleted" in request.url.path else said({"C": 1})
    )
    async with opened(wire) as client:
        languages = await DataFetcher(client).fetch_language_sizes(ADA, known)
    assert languages == (RepositoryLanguages(3, {"C": 1}),)
    assert [request.url.raw_path for request in wire.asked] == [
        b"/repos/Ada/deleted/languages",
        b"/repos/Ada/a%20b/languages",
    ]


@pytest.mark.parametrize(("repositories", "is_covered"), [(40, True), (41, False)])
async def test_sizes_over_rest_leave_a_reserve(
    wire: Wire, repositories: int, is_covered: bool
) -> None:
    wire.rest = lambda request: said({"C": 1})
    if is_covered:
        assert len(await fetch_sizes(wire, repositories=repositories)) == repositories
    else:
        with pytest.raises(TokenRequired):
            await fetch_sizes(wire, repositories=repositories)
    assert len(wire.asked) == (repositories if is_covered else 0)


async def test_sizes_over_rest_count_what_is_spent(wire: Wire) -> None:
    accounts = create_accounts([])
    accounts[0].update_rate_limit(
        RateLimit(Resource.CORE, limit=60, remaining=21, reset_at=NOW + timedelta(hours=1))
    )
    wire.rest = lambda request: said({"C": 1})
    with pytest.raises(TokenRequired):
        await fetch_sizes(wire, accounts=accounts, repositories=2)
    assert wire.asked == []
    assert len(await fetch_sizes(wire, accounts=accounts, repositories=1)) == 1

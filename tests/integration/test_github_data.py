"""Contributions, sizes of languages and single repositories of a running sandbox."""

from typing import Any

import pytest

from github_banners.errors import (
    BannersError,
    GitHubUnavailable,
    NoContributions,
    TokenRequired,
    UnknownRepository,
)
from github_banners.github.client import GitHubClient
from github_banners.github.data_fetcher import DataFetcher
from github_banners.models import ContributionAccess, Contributions, utc_now
from github_banners.options import BannerOptions, Layout, parse_options
from github_banners.render_once import fetch_snapshot
from tests.integration.controlled_sandbox import (
    FIRST,
    Sandbox,
    controlled_sandbox,
    count_requests,
    open_client,
)

VETERAN = "vera-veteran"


@pytest.fixture
def fetcher(graphql_client: GitHubClient) -> DataFetcher:
    return DataFetcher(graphql_client)


async def test_history_since_2008_costs_six_points_and_a_refresh_one(
    sandbox: Sandbox, fetcher: DataFetcher
) -> None:
    owner = await fetcher.identify(VETERAN)
    before = sandbox.calls()
    history = await fetcher.fetch_contributions(owner)
    assert sandbox.calls()["graphql_points"] - before["graphql_points"] == 6
    assert history.access is ContributionAccess.VISIBLE
    assert history.years[0].year == 2008
    assert all(len(year.days) in {365, 366} for year in history.years[:-1])
    before = sandbox.calls()
    assert await fetcher.fetch_contributions(owner, known=history) == history
    assert sandbox.calls()["graphql_points"] - before["graphql_points"] == 1


@pytest.mark.parametrize("failure", ["partial", "502"])
@pytest.mark.parametrize("max_days", [200, 31])
async def test_heavy_history_in_parts_is_the_same(
    sandbox: Sandbox, fetcher: DataFetcher, failure: str, max_days: int
) -> None:
    owner = await fetcher.identify(VETERAN)
    history = await fetcher.fetch_contributions(owner)
    known = Contributions(history.years[:-2])
    heavy: dict[str, Any] = {"login": VETERAN, "max_days": max_days, "failure": failure}
    sandbox.fail(heavy_contributions=heavy)
    assert await fetcher.fetch_contributions(owner, known=known) == history


async def test_month_that_is_too_heavy_fails(sandbox: Sandbox, fetcher: DataFetcher) -> None:
    owner = await fetcher.identify(VETERAN)
    sandbox.fail(heavy_contributions={"login": VETERAN, "max_days": 10})
    with pytest.raises(GitHubUnavailable):
        await fetcher.fetch_contributions(owner)


@pytest.mark.parametrize(
    ("login", "access"),
    [
        ("priya-private", ContributionAccess.HIDDEN),
        ("umbra-labs", ContributionAccess.ORGANISATION),
        ("nell-newcomer", ContributionAccess.VISIBLE),
    ],
)
async def test_access_to_contributions(
    fetcher: DataFetcher, login: str, access: ContributionAccess
) -> None:
    contributions = await fetcher.fetch_contributions(await fetcher.identify(login))
    assert contributions.access is access
    assert not any(any(year.days) for year in contributions.years)


@pytest.mark.parametrize(
    ("login", "error"), [("umbra-labs", NoContributions), ("mia-maintains", TokenRequired)]
)
async def test_activity_without_token_recognises_an_organisation(
    sandbox: Sandbox, login: str, error: type[BannersError]
) -> None:
    options = BannerOptions(layout=Layout.ACTIVITY)
    async with open_client(sandbox.url) as anonymous:
        before = sandbox.calls()
        with pytest.raises(error):
            await fetch_snapshot(anonymous, login, options, clock=utc_now)
        assert count_requests(sandbox, before) == (2, 0)


async def test_sizes_are_the_same_over_both_protocols(
    sandbox: Sandbox, graphql_client: GitHubClient, fetcher: DataFetcher
) -> None:
    fetched = await graphql_client.fetch("mia-maintains")
    originals = [repository for repository in fetched.repositories if not repository.is_fork]
    original_ids = {repository.id for repository in originals}
    before = sandbox.calls()
    by_graphql = await fetcher.fetch_language_sizes(fetched.owner, fetched.repositories)
    assert count_requests(sandbox, before) == (0, 1)
    before = sandbox.calls()
    async with open_client(sandbox.url) as anonymous:
        by_rest = await DataFetcher(anonymous).fetch_language_sizes(fetched.owner, originals)
    assert count_requests(sandbox, before) == (len(originals), 0)
    assert len(by_graphql) == len(fetched.repositories)
    assert {sizes.repository_id: sizes for sizes in by_rest} == {
        sizes.repository_id: sizes for sizes in by_graphql if sizes.repository_id in original_ids
    }


async def test_sizes_with_forks_are_the_same_without_a_token(graphql_client: GitHubClient) -> None:
    options = parse_options(
        {"layout": "languages", "count_by": "bytes", "include": "forks,archived"}
    )
    snapshot = await fetch_snapshot(graphql_client, "finn-forks", options, clock=utc_now)
    with (
        controlled_sandbox() as sandbox
    ):  # its rate limit without a token is not used by other tests
        async with open_client(sandbox.url) as anonymous:
            # A profile, its list and 18 forks; of 60 requests 20 are reserved for others.
            for requests in (20, 40):
                shown = await fetch_snapshot(anonymous, "finn-forks", options, clock=utc_now)
                assert shown.language_sizes == snapshot.language_sizes
                assert sandbox.calls()["rest"] == requests
            with pytest.raises(TokenRequired):
                await fetch_snapshot(anonymous, "finn-forks", options, clock=utc_now)
            assert sandbox.calls()["rest"] == 42
    assert len((snapshot.language_sizes or {}).keys() - {""}) == 21


async def test_sizes_of_a_thousand_repositories_cost_ten_points(
    sandbox: Sandbox, fetcher: DataFetcher
) -> None:
    owner = await fetcher.identify("pat-prolific")
    before = sandbox.calls()
    assert len(await fetcher.fetch_language_sizes(owner, ())) == 1000
    assert sandbox.calls()["graphql_points"] - before["graphql_points"] == 10


async def test_sizes_of_many_repositories_need_a_token(
    graphql_client: GitHubClient, sandbox: Sandbox
) -> None:
    fetched = await graphql_client.fetch("big-150")
    async with open_client(sandbox.url) as anonymous:
        with pytest.raises(TokenRequired):
            await DataFetcher(anonymous).fetch_language_sizes(fetched.owner, fetched.repositories)


async def test_repositories_are_the_same_over_both_protocols(
    sandbox: Sandbox, graphql_client: GitHubClient, fetcher: DataFetcher
) -> None:
    fetched = await graphql_client.fetch("dev-77")
    owner = fetched.owner
    async with open_client(sandbox.url) as anonymous:
        by_rest = DataFetcher(anonymous)
        for repository in fetched.repositories[:5]:
            details = await fetcher.fetch_repository(owner, repository.name.upper())
            assert (details.id, details.name) == (repository.id, repository.name)
            assert (details.stars, details.forks) == (repository.stars, repository.forks)
            assert await by_rest.fetch_repository(owner, repository.name) == details
            by_id = await fetcher.fetch_repository(owner, "other", repository_id=repository.id)
            assert by_id == details
        for unknown in (fetcher, by_rest):
            with pytest.raises(UnknownRepository):
                await unknown.fetch_repository(owner, "no-such-repository")


@pytest.mark.parametrize("tokens", [(FIRST,), ()], ids=["graphql", "rest"])
async def test_renamed_repository_is_followed(sandbox: Sandbox, tokens: tuple[str, ...]) -> None:
    login = f"dev-{78 + len(tokens)}"
    async with open_client(sandbox.url, FIRST) as github:
        fetched = await github.fetch(login)
    repository = fetched.repositories[0]
    sandbox.change("rename", login=login, repository=repository.name, to="renamed")
    async with open_client(sandbox.url, *tokens) as github:
        fetcher = DataFetcher(github)
        by_former_name = await fetcher.fetch_repository(fetched.owner, repository.name)
        by_id = await fetcher.fetch_repository(
            fetched.owner, repository.name, repository_id=repository.id
        )
    assert by_former_name == by_id
    assert (by_id.id, by_id.name) == (repository.id, "renamed")

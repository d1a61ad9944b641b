"""Single repositories and identities, over both protocols."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from github_banners.errors import (
    GitHubUnavailable,
    UnknownRepository,
    UnknownUser,
)
from github_banners.github.credentials import Priority, create_accounts
from github_banners.github.data_fetcher import DataFetcher
from github_banners.github.protocol import RateLimit, Resource
from github_banners.models import Owner, RepositoryDetails
from github_banners.settings import Secret
from tests.unit.github.data_samples import (
    identity_data,
    not_found,
    repository_body,
    repository_data,
    variables,
)
from tests.unit.github.samples import NOW
from tests.unit.github.wire import Wire, opened, said

TOKEN = "ghp_Token0123456789"
ADA = Owner(1, "Ada", node_id="U_1", display_name="Ada L")
ENGINE = RepositoryDetails(
    7,
    "Engine",
    description="Computes numbers",
    language="Python",
    stars=3,
    forks=2,
    licence="MIT",
    is_archived=True,
    is_fork=True,
)
NOT_FOUND = {"type": "NOT_FOUND", "path": ["repository"], "message": "Could not resolve"}
FORBIDDEN = {"type": "FORBIDDEN", "path": ["repository"], "message": "SAML"}


pytestmark = pytest.mark.usefixtures("retry_without_delay")


async def fetch_engine(
    wire: Wire, *tokens: str, name: str = "engine", repository_id: int | None = None
) -> RepositoryDetails:
    async with opened(wire, *tokens) as client:
        fetcher = DataFetcher(client)
        return await fetcher.fetch_repository(ADA, name, repository_id=repository_id)


@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_repository_is_the_same_over_both_protocols(
    wire: Wire, tokens: tuple[str, ...]
) -> None:
    """Its name is another than the requested one: it was renamed."""
    wire.graphql = lambda request: said({"data": repository_data()})
    wire.rest = lambda request: said(repository_body())
    assert await fetch_engine(wire, *tokens, name="motor") == ENGINE
    assert wire.paths() == (["/graphql"] if tokens else ["/repos/Ada/motor"])


async def test_renamed_repository_over_rest_is_redirected(wire: Wire) -> None:
    wire.rest = lambda request: (
        said(repository_body())
        if request.url.path == "/repositories/7"
        else said({}, status=301, headers={"location": "https://api.example/repositories/7"})
    )
    assert await fetch_engine(wire, name="motor") == ENGINE
    assert wire.paths() == ["/repos/Ada/motor", "/repositories/7"]


@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_repository_by_id_needs_one_request(wire: Wire, tokens: tuple[str, ...]) -> None:
    wire.rest = lambda request: said(repository_body())
    assert await fetch_engine(wire, *tokens, repository_id=7) == ENGINE
    assert wire.paths() == ["/repositories/7"]


async def test_repository_with_a_new_id_is_found_by_name(wire: Wire) -> None:
    wire.rest = not_found
    wire.graphql = lambda request: said({"data": repository_data(databaseId=8)})
    assert (await fetch_engine(wire, TOKEN, repository_id=7)).id == 8


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"isPrivate": True}, []),
        ({"owner": {"databaseId": 2}}, []),
        (None, [NOT_FOUND]),
    ],
    ids=["private", "transferred", "unknown"],
)
async def test_repository_that_is_not_shown_is_unknown(
    wire: Wire, changes: dict[str, Any] | None, errors: list[Any]
) -> None:
    body = {"repository": None} if changes is None else repository_data(**changes)
    wire.graphql = lambda request: said({"data": body, "errors": errors})
    with pytest.raises(UnknownRepository) as raised:
        await fetch_engine(wire, TOKEN)
    assert raised.value.name == "engine"
    assert wire.paths() == ["/graphql"]


@pytest.mark.parametrize(
    "changes", [{"private": True}, {"owner": {"id": 2}}], ids=["private", "transferred"]
)
@pytest.mark.parametrize("repository_id", [None, 7])
async def test_repository_over_rest_that_is_not_shown_is_unknown(
    wire: Wire, changes: dict[str, Any], repository_id: int | None
) -> None:
    wire.rest = lambda request: said(repository_body(**changes))
    with pytest.raises(UnknownRepository):
        await fetch_engine(wire, repository_id=repository_id)


async def test_repository_that_a_token_may_not_see_is_requested_without_one(wire: Wire) -> None:
    wire.graphql = lambda request: said({"data": {"repository": None}, "errors": [FORBIDDEN]})
    wire.rest = lambda request: said(repository_body())
    assert await fetch_engine(wire, TOKEN) == ENGINE
    assert wire.paths() == ["/graphql", "/repos/Ada/engine"]


@pytest.mark.parametrize("name", [".", ".."])
@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_repository_name_that_is_a_path_is_unknown(
    wire: Wire, name: str, tokens: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownRepository):
        await fetch_engine(wire, *tokens, name=name)
    assert wire.asked == []


async def test_repository_name_is_quoted(wire: Wire) -> None:
    wire.rest = not_found
    with pytest.raises(UnknownRepository):
        await fetch_engine(wire, name="../x?y")
    assert wire.asked[0].url.raw_path == b"/repos/Ada/..%2Fx%3Fy"


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        (None, None),
        ({"key": "apache-2.0", "name": "Apache License 2.0", "spdxId": "Apache-2.0"}, "Apache-2.0"),
        ({"key": "ours", "name": "Our\nLicence", "spdxId": None}, "Our Licence"),
        ({"key": "ours", "name": "Our Licence", "spdxId": "NOASSERTION"}, "Our Licence"),
        ({"key": "other", "name": "Other", "spdxId": "NOASSERTION"}, None),
        ({"key": "no-license", "name": "No License", "spdxId": None}, None),
    ],
)
@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_licence_is_the_spdx_id_or_a_name_that_tells_something(
    wire: Wire, tokens: tuple[str, ...], licence: dict[str, Any] | None, expected: str | None
) -> None:
    body = None
    if licence is not None:
        body = {"spdx_id": licence["spdxId"], "key": licence["key"], "name": licence["name"]}
    wire.graphql = lambda request: said({"data": repository_data(licenseInfo=licence)})
    wire.rest = lambda request: said(repository_body(license=body))
    assert (await fetch_engine(wire, *tokens)).licence == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [(None, None), (" \n ", None), ("x" * 1000, "x" * 350), ("a\x1b[31m\u2028b", "a [31m b")],
)
async def test_description_is_cleaned_and_bounded(
    wire: Wire, description: str | None, expected: str | None
) -> None:
    wire.graphql = lambda request: said({"data": repository_data(description=description)})
    assert (await fetch_engine(wire, TOKEN)).description == expected


async def test_repository_that_can_not_be_fetched(wire: Wire) -> None:
    wire.graphql = wire.rest = lambda request: said({}, status=503)
    with pytest.raises(GitHubUnavailable):
        await fetch_engine(wire, TOKEN)
    assert wire.paths() == ["/graphql"] + ["/repos/Ada/engine"] * 3


@pytest.mark.parametrize("repository_id", [None, 7])
async def test_invalid_repository_is_refused(wire: Wire, repository_id: int | None) -> None:
    wire.graphql = lambda request: said({"data": repository_data(stargazerCount=-1)})
    wire.rest = lambda request: said(repository_body(stargazers_count=1 << 40))
    with pytest.raises(GitHubUnavailable):
        await fetch_engine(wire, TOKEN, repository_id=repository_id)


async def test_repository_names_are_variables(wire: Wire) -> None:
    wire.graphql = lambda request: said({"data": repository_data()})
    await fetch_engine(wire, TOKEN, name='x") { evil }')
    assert variables(wire.asked[0]) == {"owner": "Ada", "name": 'x") { evil }'}


async def test_invalid_login_of_an_identity_is_refused(wire: Wire) -> None:
    data = identity_data()
    data["owner"]["login"] = "../ada"
    wire.graphql = lambda request: said({"data": data})
    wire.rest = lambda request: said({"id": 1, "login": "../ada"})
    async with opened(wire, TOKEN) as client:
        with pytest.raises(GitHubUnavailable):
            await DataFetcher(client).identify("ada")


@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_identity_needs_one_request(wire: Wire, tokens: tuple[str, ...]) -> None:
    wire.graphql = lambda request: said({"data": identity_data()})
    async with opened(wire, *tokens) as client:
        assert await DataFetcher(client).identify("ada") == ADA
    assert wire.paths() == (["/graphql"] if tokens else ["/users/ada"])


async def test_identity_comes_from_rest_if_graphql_is_down(wire: Wire) -> None:
    wire.graphql = lambda request: said({}, status=502)
    async with opened(wire, TOKEN) as client:
        assert await DataFetcher(client).identify("ada", priority=Priority.KNOWN_OWNER) == ADA


@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_identity_of_an_unknown_login(wire: Wire, tokens: tuple[str, ...]) -> None:
    wire.graphql = lambda request: said({"data": {"owner": None}})
    wire.rest = not_found
    async with opened(wire, *tokens) as client:
        with pytest.raises(UnknownUser):
            await DataFetcher(client).identify("ada")
    assert len(wire.asked) == 1


@pytest.mark.parametrize("kind", ["contributions", "sizes", "repository", "identity"])
async def test_background_leaves_the_reserve_to_clients(wire: Wire, kind: str) -> None:
    accounts = create_accounts([Secret(TOKEN)])[:1]
    for resource in Resource:
        limit = RateLimit(resource, limit=5000, remaining=1500, reset_at=NOW + timedelta(hours=1))
        accounts[0].update_rate_limit(limit)
    priority = Priority.BACKGROUND
    async with opened(wire, accounts=accounts) as client:
        fetcher = DataFetcher(client)
        fetching: Mapping[str, Callable[[], Awaitable[object]]] = {
            "contributions": lambda: fetcher.fetch_contributions(ADA, priority=priority),
            "sizes": lambda: fetcher.fetch_language_sizes(ADA, [], priority=priority),
            "repository": lambda: fetcher.fetch_repository(ADA, "engine", priority=priority),
            "identity": lambda: fetcher.identify("ada", priority=priority),
        }
        with pytest.raises(GitHubUnavailable):
            await fetching[kind]()
    assert wire.asked == []

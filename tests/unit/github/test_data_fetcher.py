"""Single repositories and identities, over both protocols."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
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
from tests.unit.github.fake_api import FakeGitHubApi, json_response, open_client
from tests.unit.github.samples import NOW

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
    api: FakeGitHubApi, *tokens: str, name: str = "engine", repository_id: int | None = None
) -> RepositoryDetails:
    async with open_client(api, *tokens) as client:
        fetcher = DataFetcher(client)
        return await fetcher.fetch_repository(ADA, name, repository_id=repository_id)


@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_repository_is_the_same_over_both_protocols(
    api: FakeGitHubApi, tokens: tuple[str, ...]
) -> None:
    """Its name is another than the requested one: it was renamed."""
    api.graphql = lambda request: json_response({"data": repository_data()})
    api.rest = lambda request: json_response(repository_body())
    assert await fetch_engine(api, *tokens, name="motor") == ENGINE
    assert api.paths() == (["/graphql"] if tokens else ["/repos/Ada/motor"])


async def test_renamed_repository_over_rest_is_redirected(api: FakeGitHubApi) -> None:
    api.rest = lambda request: (
        json_response(repository_body())
        if request.url.path == "/repositories/7"
        else json_response(
            {}, status=301, headers={"location": "https://api.example/repositories/7"}
        )
    )
    assert await fetch_engine(api, name="motor") == ENGINE
    assert api.paths() == ["/repos/Ada/motor", "/repositories/7"]


@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_repository_by_id_needs_one_request(
    api: FakeGitHubApi, tokens: tuple[str, ...]
) -> None:
    api.rest = lambda request: json_response(repository_body())
    assert await fetch_engine(api, *tokens, repository_id=7) == ENGINE
    assert api.paths() == ["/repositories/7"]


async def test_repository_with_a_new_id_is_found_by_name(api: FakeGitHubApi) -> None:
    api.rest = not_found
    api.graphql = lambda request: json_response({"data": repository_data(databaseId=8)})
    assert (await fetch_engine(api, TOKEN, repository_id=7)).id == 8


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
    api: FakeGitHubApi, changes: dict[str, Any] | None, errors: list[Any]
) -> None:
    body = {"repository": None} if changes is None else repository_data(**changes)
    api.graphql = lambda request: json_response({"data": body, "errors": errors})
    with pytest.raises(UnknownRepository) as raised:
        await fetch_engine(api, TOKEN)
    assert raised.value.name == "engine"
    assert api.paths() == ["/graphql"]


@pytest.mark.parametrize(
    "changes", [{"private": True}, {"owner": {"id": 2}}], ids=["private", "transferred"]
)
@pytest.mark.parametrize("repository_id", [None, 7])
async def test_repository_over_rest_that_is_not_shown_is_unknown(
    api: FakeGitHubApi, changes: dict[str, Any], repository_id: int | None
) -> None:
    api.rest = lambda request: json_response(repository_body(**changes))
    with pytest.raises(UnknownRepository):
        await fetch_engine(api, repository_id=repository_id)


async def test_repository_that_a_token_may_not_see_is_requested_without_one(
    api: FakeGitHubApi,
) -> None:
    api.graphql = lambda request: json_response(
        {"data": {"repository": None}, "errors": [FORBIDDEN]}
    )
    api.rest = lambda request: json_response(repository_body())
    assert await fetch_engine(api, TOKEN) == ENGINE
    assert api.paths() == ["/graphql", "/repos/Ada/engine"]


@pytest.mark.parametrize("name", [".", ".."])
@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_repository_name_that_is_a_path_is_unknown(
    api: FakeGitHubApi, name: str, tokens: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownRepository):
        await fetch_engine(api, *tokens, name=name)
    assert api.requests == []


async def test_repository_name_is_quoted(api: FakeGitHubApi) -> None:
    api.rest = not_found
    with pytest.raises(UnknownRepository):
        await fetch_engine(api, name="../x?y")
    assert api.requests[0].url.raw_path == b"/repos/Ada/..%2Fx%3Fy"


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
    api: FakeGitHubApi,
    tokens: tuple[str, ...],
    licence: dict[str, Any] | None,
    expected: str | None,
) -> None:
    body = None
    if licence is not None:
        body = {"spdx_id": licence["spdxId"], "key": licence["key"], "name": licence["name"]}
    api.graphql = lambda request: json_response({"data": repository_data(licenseInfo=licence)})
    api.rest = lambda request: json_response(repository_body(license=body))
    assert (await fetch_engine(api, *tokens)).licence == expected


@pytest.mark.parametrize(
    ("changes", "attribute"),
    [
        ({"description": 5}, "description"),
        ({"language": ["C"]}, "language"),
        ({"license": {"name": 5}}, "licence"),
        ({"license": "MIT"}, "licence"),
    ],
)
async def test_repository_with_invalid_text_is_without_it(
    api: FakeGitHubApi, changes: dict[str, Any], attribute: str
) -> None:
    api.rest = lambda request: json_response(repository_body(**changes))
    repository = await fetch_engine(api)
    assert repository == msgspec.structs.replace(ENGINE, **{attribute: None})


@pytest.mark.parametrize("changes", [{"stargazers_count": -1}, {"forks_count": "2"}, {"fork": 1}])
async def test_repository_with_invalid_number_or_flag_fails(
    api: FakeGitHubApi, changes: dict[str, Any]
) -> None:
    api.rest = lambda request: json_response(repository_body(**changes))
    with pytest.raises(GitHubUnavailable):
        await fetch_engine(api)


@pytest.mark.parametrize(
    ("description", "expected"),
    [(None, None), (" \n ", None), ("x" * 1000, "x" * 350), ("a\x1b[31m\u2028b", "a [31m b")],
)
async def test_description_is_cleaned_and_bounded(
    api: FakeGitHubApi, description: str | None, expected: str | None
) -> None:
    api.graphql = lambda request: json_response({"data": repository_data(description=description)})
    assert (await fetch_engine(api, TOKEN)).description == expected


async def test_repository_that_can_not_be_fetched(api: FakeGitHubApi) -> None:
    api.graphql = api.rest = lambda request: json_response({}, status=503)
    with pytest.raises(GitHubUnavailable):
        await fetch_engine(api, TOKEN)
    assert api.paths() == ["/graphql"] + ["/repos/Ada/engine"] * 3


@pytest.mark.parametrize("repository_id", [None, 7])
async def test_invalid_repository_is_refused(api: FakeGitHubApi, repository_id: int | None) -> None:
    api.graphql = lambda request: json_response({"data": repository_data(stargazerCount=-1)})
    api.rest = lambda request: json_response(repository_body(stargazers_count=1 << 40))
    with pytest.raises(GitHubUnavailable):
        await fetch_engine(api, TOKEN, repository_id=repository_id)


async def test_repository_names_are_variables(api: FakeGitHubApi) -> None:
    api.graphql = lambda request: json_response({"data": repository_data()})
    await fetch_engine(api, TOKEN, name='x") { evil }')
    assert variables(api.requests[0]) == {"owner": "Ada", "name": 'x") { evil }'}


async def test_invalid_login_of_an_identity_is_refused(api: FakeGitHubApi) -> None:
    data = identity_data()
    data["owner"]["login"] = "../ada"
    api.graphql = lambda request: json_response({"data": data})
    api.rest = lambda request: json_response({"id": 1, "login": "../ada"})
    async with open_client(api, TOKEN) as client:
        with pytest.raises(GitHubUnavailable):
            await DataFetcher(client).identify("ada")


@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_identity_needs_one_request(api: FakeGitHubApi, tokens: tuple[str, ...]) -> None:
    api.graphql = lambda request: json_response({"data": identity_data()})
    async with open_client(api, *tokens) as client:
        assert await DataFetcher(client).identify("ada") == ADA
    assert api.paths() == (["/graphql"] if tokens else ["/users/ada"])


async def test_identity_comes_from_rest_if_graphql_is_down(api: FakeGitHubApi) -> None:
    api.graphql = lambda request: json_response({}, status=502)
    async with open_client(api, TOKEN) as client:
        assert await DataFetcher(client).identify("ada") == ADA


@pytest.mark.parametrize("tokens", [(TOKEN,), ()], ids=["graphql", "rest"])
async def test_identity_of_an_unknown_login(api: FakeGitHubApi, tokens: tuple[str, ...]) -> None:
    api.graphql = lambda request: json_response({"data": {"owner": None}})
    api.rest = not_found
    async with open_client(api, *tokens) as client:
        with pytest.raises(UnknownUser):
            await DataFetcher(client).identify("ada")
    assert len(api.requests) == 1


@pytest.mark.parametrize("kind", ["contributions", "sizes", "repository"])
async def test_background_leaves_the_reserve_to_clients(api: FakeGitHubApi, kind: str) -> None:
    accounts = create_accounts([Secret(TOKEN)])[:1]
    for resource in Resource:
        limit = RateLimit(resource, limit=5000, remaining=1500, reset_at=NOW + timedelta(hours=1))
        accounts[0].update_rate_limit(limit)
    priority = Priority.BACKGROUND
    async with open_client(api, accounts=accounts) as client:
        fetcher = DataFetcher(client)
        fetching: Mapping[str, Callable[[], Awaitable[object]]] = {
            "contributions": lambda: fetcher.fetch_contributions(ADA, priority=priority),
            "sizes": lambda: fetcher.fetch_language_sizes(ADA, [], priority=priority),
            "repository": lambda: fetcher.fetch_repository(ADA, "engine", priority=priority),
        }
        with pytest.raises(GitHubUnavailable):
            await fetching[kind]()
    assert api.requests == []

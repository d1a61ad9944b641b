"""
Malformed responses of GitHub and unusual networks: one case for each report from the field.

`E` cases are environments, `F` cases are attacks; `+` marks further inputs of the same kind. Every case
names the response of GitHub and the owners that must have numbers afterwards.
"""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from github_banners.errors import BannersError, ConfigurationError, GitHubUnavailable, UnknownUser
from github_banners.github import rest, token_owners
from github_banners.github.batch import BatchFetcher
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import Account, Credential, Priority, create_accounts
from github_banners.github.protocol import Failure, GitHubResponse, Resource, parse_rate_limit
from github_banners.github.sender import MAX_RESPONSE_BYTES
from github_banners.github.transport import open_github_http, proxy_from_environment
from github_banners.models import Owner, OwnerRepositories, Stats
from github_banners.settings import Secret
from tests.unit.github.fake_api import FakeGitHubApi, json_response, open_client
from tests.unit.github.samples import (
    NOW,
    build_response,
    owner_node,
    rate_limit_headers,
    repository_node,
)

TOKEN, OTHER_TOKEN = "ghp_Token0123456789", "ghp_Other0123456789"
OWNERS = [Owner(number, f"dev-{number}", f"U_{number}") for number in range(1, 21)]
ODD = 7
"""The owner in the batch whose response is malformed."""

BEFORE = Stats(10, 10, 0, 30, 20, {"Python": 10})
HOUR = timedelta(hours=1)


pytestmark = pytest.mark.usefixtures("retry_without_delay")


def valid_node(number: int) -> dict[str, Any]:
    repositories = [repository_node(number * 100 + n) for n in range(10)]
    return owner_node(*repositories) | {"databaseId": number, "id": f"U_{number}"}


def changed(**fields: Any) -> dict[str, Any]:
    return valid_node(ODD) | fields


def with_list(**fields: Any) -> dict[str, Any]:
    node = valid_node(ODD)
    return node | {"repositories": node["repositories"] | fields}


def with_repository(**fields: Any) -> dict[str, Any]:
    nodes = valid_node(ODD)["repositories"]["nodes"]
    return with_list(nodes=[nodes[0] | fields, *nodes[1:]])


def about(path: list[Any], kind: str) -> list[dict[str, Any]]:
    return [{"type": kind, "path": path, "message": f"odd: {kind}"}]


def requested_ids(request: httpx2.Request) -> list[int]:
    ids = json.loads(request.content)["variables"].get("ids", [])
    return [int(node_id.removeprefix("U_")) for node_id in ids]


def graphql(node: Any, errors: Callable[[int], list[dict[str, Any]]] | None = None) -> Any:
    """Return a response with many owners: the malformed one has `node`, and errors with its path."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        ids = requested_ids(request)
        nodes = [node if number == ODD else valid_node(number) for number in ids]
        body: dict[str, Any] = {"data": {"nodes": nodes}}
        if errors is not None and ODD in ids:
            body["errors"] = errors(ids.index(ODD))
        return json_response(body)

    return respond


def valid_rest(request: httpx2.Request) -> httpx2.Response:
    number = int(request.url.path.split("/")[2])
    if not request.url.path.endswith("/repos"):
        owner = {"id": number, "login": f"dev-{number}", "node_id": f"U_{number}"}
        return json_response(owner | {"public_repos": 10})
    return json_response(
        [
            {"id": number * 100 + n, "name": f"r{n}", "stargazers_count": 3, "forks_count": 2}
            for n in range(10)
        ]
    )


def rest_failing_with(status: int) -> Any:
    return lambda request: json_response({"message": "odd"}, status=status)


@dataclass
class BatchFetchHarness:
    """A malformed response, and the expected results of a batch of twenty owners."""

    graphql: Any
    rest: Any = valid_rest
    saved: bool = True
    gone: bool = False
    tokens: tuple[str, ...] = (TOKEN,)

    async def run(self) -> tuple[dict[int, OwnerRepositories | BannersError], FakeGitHubApi]:
        api = FakeGitHubApi()
        api.graphql, api.rest = self.graphql, self.rest
        async with open_client(api, *self.tokens) as github:
            batch = BatchFetcher(github, clock=lambda: NOW)
            previous = {owner.id: BEFORE for owner in OWNERS}
            results = await batch.fetch_many(OWNERS, previous=previous)
        return {owner.id: result for owner, result in zip(OWNERS, results, strict=True)}, api


NESTED: Any = []
for _ in range(200):
    NESTED = [NESTED]

ONE_ODD_OWNER = {
    "E7 forbidden, REST responds": BatchFetchHarness(
        graphql(None, lambda n: about(["nodes", n], "FORBIDDEN"))
    ),
    "E7 forbidden, two accounts": BatchFetchHarness(
        graphql(None, lambda n: about(["nodes", n], "FORBIDDEN")), tokens=(TOKEN, OTHER_TOKEN)
    ),
    "E7 insufficient scopes": BatchFetchHarness(
        graphql(
            changed(databaseId=None),
            lambda n: about(["nodes", n, "databaseId"], "INSUFFICIENT_SCOPES"),
        )
    ),
    "E7+ an error of a kind never seen": BatchFetchHarness(
        graphql(None, lambda n: about(["nodes", n], "SERVICE_UNAVAILABLE"))
    ),
    "E18 null without an error": BatchFetchHarness(graphql(None)),
    "E18 null, and gone over REST too": BatchFetchHarness(
        graphql(None, lambda n: about(["nodes", n], "NOT_FOUND")),
        lambda request: (
            rest_failing_with(404)(request) if "/7" in request.url.path else valid_rest(request)
        ),
        saved=False,
        gone=True,
    ),
    "E18+ null, and REST down": BatchFetchHarness(
        graphql(None), rest_failing_with(503), saved=False
    ),
    "E18 all repositories vanish": BatchFetchHarness(graphql(with_list(nodes=None, totalCount=0))),
    "E18+ empty list": BatchFetchHarness(graphql(with_list(nodes=[], totalCount=0))),
    "E18+ fewer than half": BatchFetchHarness(
        graphql(with_list(nodes=[repository_node(1)], totalCount=1))
    ),
    "E18+ stars are zero": BatchFetchHarness(
        graphql(with_list(nodes=[repository_node(n, stargazerCount=0) for n in range(10)]))
    ),
    "E18+ vanish, and REST down": BatchFetchHarness(
        graphql(with_list(nodes=None, totalCount=0)), rest_failing_with(503), saved=False
    ),
    "E19 repositories null": BatchFetchHarness(graphql(changed(repositories=None))),
    "E19 pageInfo null": BatchFetchHarness(graphql(with_list(pageInfo=None))),
    "E19 nodes a text": BatchFetchHarness(graphql(with_list(nodes="x"))),
    "E19 login null": BatchFetchHarness(graphql(changed(login=None))),
    "E19 login missing": BatchFetchHarness(graphql({"id": "U_7"})),
    "E19+ login with a path": BatchFetchHarness(graphql(changed(login="../x"))),
    "E19+ login with a line end": BatchFetchHarness(graphql(changed(login="a\nb"))),
    "E19+ another owner": BatchFetchHarness(graphql(valid_node(99))),
    "E19+ owner a list": BatchFetchHarness(graphql([1, 2])),
    "E19+ name a number": BatchFetchHarness(graphql(changed(name=5))),
    "E19 repository without id": BatchFetchHarness(graphql(with_repository(databaseId=None))),
    "E19 language a number": BatchFetchHarness(
        graphql(with_repository(primaryLanguage={"name": 5}))
    ),
    "F1 stars -5": BatchFetchHarness(graphql(with_repository(stargazerCount=-5))),
    "F1 stars 3e9": BatchFetchHarness(graphql(with_repository(stargazerCount=3_000_000_000))),
    "F1 stars 2^64": BatchFetchHarness(graphql(with_repository(stargazerCount=1 << 64))),
    "F1+ stars 1.5": BatchFetchHarness(graphql(with_repository(stargazerCount=1.5))),
    "F1 forks 2^40": BatchFetchHarness(graphql(with_repository(forkCount=1 << 40))),
    "F1 repository id 2^63": BatchFetchHarness(graphql(with_repository(databaseId=1 << 63))),
    "F1 owner id 2^63": BatchFetchHarness(graphql(changed(databaseId=1 << 63))),
    "F1+ owner id -1": BatchFetchHarness(graphql(changed(databaseId=-1))),
    "F1+ total 2^40": BatchFetchHarness(graphql(with_list(totalCount=1 << 40))),
    "F1+ total -1": BatchFetchHarness(graphql(with_list(totalCount=-1))),
    "F1+ node id of a megabyte": BatchFetchHarness(graphql(changed(id="x" * 1_000_000))),
    "F1 nesting where a text should be": BatchFetchHarness(graphql(changed(name=NESTED))),
    "F1+ nested unknown field": BatchFetchHarness(graphql(changed(unknown=NESTED))),
    "F18 endless cursor": BatchFetchHarness(
        graphql(with_list(totalCount=1000, pageInfo={"hasNextPage": True, "endCursor": "c"}))
    ),
}


@pytest.mark.parametrize("harness", ONE_ODD_OWNER.values(), ids=list(ONE_ODD_OWNER))
async def test_fetch_many_with_malformed_owner_returns_the_others(
    harness: BatchFetchHarness,
) -> None:
    results, api = await harness.run()
    others = [result for number, result in results.items() if number != ODD]
    assert all(
        isinstance(result, OwnerRepositories) and len(result.repositories) == 10
        for result in others
    )
    odd = results[ODD]
    if harness.saved:
        assert isinstance(odd, OwnerRepositories)
        assert (odd.owner.id, len(odd.owner.node_id or "")) == (ODD, len("U_7"))
        assert odd.owner.login in {"Ada", "dev-7"}
        assert len(odd.repositories) == 10
        assert sum(repository.stars for repository in odd.repositories) == 30
        assert sum(repository.forks for repository in odd.repositories) == 20
    else:
        assert isinstance(odd, UnknownUser if harness.gone else GitHubUnavailable)
    assert len(api.requests) <= 30


@pytest.mark.parametrize(
    "node",
    [
        changed(name="x\ud83d"),
        changed(bio="\ude00x"),
        with_repository(description="x\ud83d", name="\ud83d\ud83d"),
    ],
    ids=["name", "ignored text", "repository"],
)
async def test_fetch_many_with_half_a_surrogate_pair_costs_one_request(node: Any) -> None:
    results, api = await BatchFetchHarness(graphql(node)).run()
    assert all(isinstance(result, OwnerRepositories) for result in results.values())
    assert api.paths() == ["/graphql"]


@pytest.mark.parametrize(
    "fields",
    [
        *({"followers": value} for value in (-1, "12", 1.0, 3e9)),
        *({"public_repos": value} for value in (-1, "many", 1 << 40)),
        *({"name": 5}, {"type": 5}, {"node_id": 5}, {"node_id": "x" * 300}),
    ],
    ids=str,
)
async def test_fetch_with_odd_optional_field_over_rest_has_every_repository(
    fields: dict[str, Any],
) -> None:
    """REST is the last way: a failure would be one for ever."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/repos"):
            return json_response({"id": 1, "login": "Ada", "public_repos": 2} | fields)
        records = [{"id": n, "name": "r", "stargazers_count": 3, "language": n} for n in (1, 2)]
        return json_response(records)

    api = FakeGitHubApi()
    api.rest = respond
    async with open_client(api) as github:
        fetched = await github.fetch("Ada")
    assert fetched.owner == Owner(1, "Ada")
    assert sum(repository.stars for repository in fetched.repositories) == 6
    assert len(api.requests) == 2


async def test_fetch_with_half_a_surrogate_pair_has_every_repository() -> None:
    def respond(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/repos"):
            owner = {"id": 1, "login": "Ada", "name": "A\ud83d", "bio": "\ude00", "public_repos": 2}
            return json_response(owner)
        return json_response(
            [{"id": 1, "name": "a", "description": "x\ud83d"}, {"id": 2, "name": "\ud83d"}]
        )

    api = FakeGitHubApi()
    api.rest = respond
    async with open_client(api) as github:
        fetched = await github.fetch("Ada")
    assert fetched.owner.display_name == "A\ufffd"
    assert [repository.name for repository in fetched.repositories] == ["a", "\ufffd"]
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    "respond",
    [
        rest_failing_with(404),
        rest_failing_with(500),
        rest_failing_with(403),
        lambda request: json_response([]),
    ],
    ids=["N7 404", "N7+ 500", "N7+ 403", "N7+ no GraphQL"],
)
async def test_fetch_many_without_graphql_falls_back_to_rest(respond: Any) -> None:
    results, _ = await BatchFetchHarness(respond).run()
    assert all(isinstance(result, OwnerRepositories) for result in results.values())


async def test_fetch_many_with_deeply_nested_response_fetches_that_owner_over_rest() -> None:
    """F1: JSON that is nested too deeply for the parser."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        ids = requested_ids(request)
        if ODD in ids:
            return httpx2.Response(200, stream=httpx2.ByteStream(b'{"data":' + b"[" * 100_000))
        return json_response({"data": {"nodes": [valid_node(number) for number in ids]}})

    results, _ = await BatchFetchHarness(respond).run()
    assert all(isinstance(result, OwnerRepositories) for result in results.values())


async def test_fetch_many_with_invalid_redirect_names_it_for_that_owner_only() -> None:
    """An address that can't be parsed was an error of our own, after which all were asked singly."""

    def redirect(request: httpx2.Request) -> httpx2.Response:
        if "/7" in request.url.path:
            return json_response({}, status=301, headers={"location": "https:////["})
        return valid_rest(request)

    results, api = await BatchFetchHarness(graphql(None), redirect).run()
    assert [
        number for number, result in results.items() if not isinstance(result, OwnerRepositories)
    ] == [ODD]
    assert isinstance(results[ODD], GitHubUnavailable)
    assert len(api.requests) <= 10


async def test_fetch_many_with_repeated_cursor_follows_it_once() -> None:
    """F18: the loop used up the hourly budget in seconds."""
    pages = {"hasNextPage": True, "endCursor": "c"}
    page = {"data": {"node": {"repositories": {"pageInfo": pages, "nodes": []}}}}
    many = graphql(with_list(totalCount=10_000, pageInfo=pages))
    harness = BatchFetchHarness(
        lambda request: many(request) if requested_ids(request) else json_response(page)
    )
    _, api = await harness.run()
    assert api.paths().count("/graphql") <= 3


ODD_REST: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "E19 id null": ({"id": None}, {}),
    "F1 stars -5": ({"stargazers_count": -5}, {}),
    "F1 forks 2^63": ({"forks_count": 1 << 63}, {}),
    "F1 id 2^63": ({"id": 1 << 63}, {}),
    "F1+ stars of 5,000 digits": ({"stargazers_count": 10**4_200}, {}),
    "F1 page number in Link": ({}, {"link": f'<https://x/?page={"9" * 5000}>; rel="last"'}),
    "F1+ page number in other digits": ({}, {"link": '<https://x/?page=٣>; rel="last"'}),
    "F1+ Link without an end": ({}, {"link": '<https://[x/?page=2>; rel="next"'}),
    "F21 Link of 40 KB": ({}, {"link": "<" * 20_000 + ">;" * 10_000}),
    "F24 last page 10^9, remaining 2*10^9": (
        {},
        {
            **rate_limit_headers(remaining=2_000_000_000, reset_in=HOUR),
            "link": '<https://x/?page=1000000000>; rel="last"',
        },
    ),
}


@pytest.mark.parametrize(("record", "headers"), ODD_REST.values(), ids=list(ODD_REST))
async def test_fetch_with_malformed_rest_record_skips_it(
    record: dict[str, Any], headers: dict[str, str]
) -> None:
    def respond(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/repos"):
            return json_response({"id": 1, "login": "Ada", "public_repos": 2})
        if request.url.params["page"] != "1":
            return json_response([])
        body = [{"id": 1, "name": "good"}, {"id": 2, "name": "odd"} | record]
        encoded = json.dumps(body).encode()
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        return httpx2.Response(200, headers=raw, stream=httpx2.ByteStream(encoded))

    api = FakeGitHubApi()
    api.rest = respond
    async with open_client(api) as github:
        with capture_logs() as events:
            fetched = await github.fetch("Ada")
    assert [repository.id for repository in fetched.repositories] == ([1] if record else [1, 2])
    named = [event for event in events if event["event"] == "github.repositories_unreadable"]
    assert len(named) == bool(record)
    assert len(api.requests) <= 20


@pytest.mark.parametrize(
    "reset_at",
    [NOW + timedelta(days=3000), datetime(9999, 12, 1, tzinfo=UTC), NOW + 3 * HOUR],
    ids=["F21 years ahead", "F21 year 9999", "F21+ three hours"],
)
def test_parse_rate_limit_with_distant_reset_caps_it_at_two_hours(reset_at: datetime) -> None:
    headers = {
        "x-ratelimit-limit": "5000",
        "x-ratelimit-remaining": "-5",
        "x-ratelimit-reset": str(int(reset_at.timestamp())),
    }
    rate_limit = parse_rate_limit(build_response(headers=headers), resource=Resource.CORE, now=NOW)
    assert rate_limit is not None
    account = Account([Credential(Secret(TOKEN))])
    account.update_rate_limit(rate_limit)
    assert not account.is_usable(Resource.CORE, now=NOW + HOUR)
    assert account.is_usable(Resource.CORE, now=NOW + 2 * HOUR + timedelta(seconds=1))
    body = {"resources": {"core": {"limit": 5000, "remaining": 0, "reset": reset_at.timestamp()}}}
    body["resources"]["core"]["reset"] = int(reset_at.timestamp())
    standing = rest.parse_token_info(build_response(body), now=NOW)
    assert isinstance(standing, rest.TokenInfo)
    assert standing.rate_limits[0].reset_at <= NOW + 2 * HOUR


async def test_fetch_token_owner_removes_control_characters() -> None:
    """F20: `check` prints the login of a token's owner."""
    login = "me\x1b[31mRED\x07\r\nfake: ok\u2028\x9b"
    api = FakeGitHubApi()
    api.graphql = lambda request: json_response(
        {"data": {"viewer": {"login": login, "databaseId": 1}}}
    )
    async with open_client(api, TOKEN) as github:
        credential = github.sender.accounts[0].credentials[0]
        owner = await token_owners.fetch_token_owner(github.sender, credential, clock=lambda: NOW)
    assert owner.login.isprintable()
    headers = {"x-oauth-scopes": f"repo, {login}, " + "a," * 500}
    standing = rest.parse_token_info(build_response({"resources": {}}, headers=headers), now=NOW)
    assert isinstance(standing, rest.TokenInfo)
    assert len(standing.scopes) <= 50
    assert all(scope.isprintable() for scope in standing.scopes)
    failure = rest.parse_owner(build_response({"id": 1, "login": login}))
    assert isinstance(failure, Failure)
    assert failure.message.isprintable()


@pytest.mark.parametrize(
    ("priority", "remaining", "is_sent"),
    [
        (Priority.BACKGROUND, 1501, True),
        (Priority.BACKGROUND, 1500, False),
        (Priority.UNKNOWN_LOGIN, 501, True),
        (Priority.UNKNOWN_LOGIN, 500, False),
        (Priority.KNOWN_OWNER, 1, True),
    ],
)
async def test_fetch_many_reserves_last_points_for_interactive_requests(
    priority: Priority, remaining: int, is_sent: bool
) -> None:
    """Growth 1: background refreshes used up the GraphQL budget and then the REST budget."""
    api = FakeGitHubApi()
    api.graphql, api.rest = graphql(valid_node(ODD)), valid_rest
    accounts = create_accounts([Secret(TOKEN)])
    for resource in Resource:
        headers = rate_limit_headers(remaining=remaining, reset_in=HOUR)
        rate_limit = parse_rate_limit(build_response(headers=headers), resource=resource, now=NOW)
        assert rate_limit is not None
        accounts[0].update_rate_limit(rate_limit)
    async with open_client(api, accounts=accounts) as github:
        results = await BatchFetcher(github, clock=lambda: NOW, priority=priority).fetch_many(
            OWNERS
        )
    assert [isinstance(result, OwnerRepositories) for result in results] == [is_sent] * 20
    assert api.paths() == ["/graphql"] * is_sent


@pytest.mark.parametrize(
    "error",
    [
        {"type": "RATE_LIMITED", "path": None},
        {"type": "rate_limit"},
        {"message": "API rate limit exceeded for user ID 1."},
        {"message": "API rate limit already exceeded for user ID 1.", "path": ["nodes", 0]},
        {"message": "You have exceeded a secondary rate limit.", "extensions": None},
        {"message": "You have triggered an abuse detection mechanism.", "type": 5},
    ],
)
async def test_fetch_many_after_rate_limit_does_not_ask_the_account_again(
    error: dict[str, Any],
) -> None:
    """Growth 1+: a limit that is known only by its message, or has a path of null."""
    api = FakeGitHubApi()
    api.graphql, api.rest = (lambda request: json_response({"errors": [error]})), valid_rest
    async with open_client(api, TOKEN) as github:
        batch = BatchFetcher(github, clock=lambda: NOW)
        results = await batch.fetch_many(OWNERS) + await batch.fetch_many(OWNERS)
    assert all(isinstance(result, GitHubUnavailable) for result in results)
    assert api.paths() == ["/graphql"]


# ---------------------------------------------------------------------------------- over a real connection


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run a server with this handler, and yield its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def with_body(*chunks: bytes, repeat: int = 1, headers: str = "") -> Handler:
    """Return a handler that responds with chunks, which may be endless."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\n{headers}connection: close\r\n\r\n".encode())
        for _ in range(repeat):
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()

    return handle


@asynccontextmanager
async def open_network_client(
    url: str,
    *,
    seconds: float = 10,
    environment: dict[str, str] | None = None,
    tokens: tuple[str, ...] = (),
) -> AsyncIterator[GitHubClient]:
    timeout = timedelta(seconds=seconds)
    async with open_github_http(
        timeout=timeout, api_url=url, environment=environment or {}
    ) as http:
        accounts = create_accounts([Secret(token) for token in tokens])
        yield GitHubClient(
            http, api_url=url, accounts=accounts, timeout=timeout, clock=lambda: datetime.now(UTC)
        )


async def reason(url: str, **options: Any) -> str:
    """Fetch a user, and return the error."""
    async with open_network_client(url, **options) as github:
        with pytest.raises(GitHubUnavailable) as caught:
            await github.fetch("ada")
    return str(caught.value)


MEGABYTE = b" " * (1 << 20)
BOMB = gzip.compress(b"[" + b" " * (64 << 20))

TOO_LARGE = {
    "F2 a hundred megabytes": with_body(MEGABYTE, repeat=100),
    "F2 announced as a terabyte": with_body(
        MEGABYTE, repeat=20, headers="content-length: 1000000000000\r\n"
    ),
    "F2 gzip bomb": with_body(BOMB, headers="content-encoding: gzip\r\n"),
    "F2 300,000 repositories on a page": with_body(
        b"[" + b'{"id":1,"name":"x"},' * 300_000 + b'{"id":1,"name":"x"}]'
    ),
    "F2+ a million fields": with_body(b'{"id":1' + b',"a":1' * 1_000_000 + b"}"),
    "F2+ gzip that is none": with_body(b"no", headers="content-encoding: gzip\r\n"),
    "F2+ gzip cut off": with_body(BOMB[:50], headers="content-encoding: gzip\r\n"),
    "F2+ encoding never accepted": with_body(b"no", headers="content-encoding: br\r\n"),
    "F2+ 300 KB of headers": with_body(b"[]", headers="x-y: z\r\n" * 40_000),
}


@pytest.mark.parametrize("handler", TOO_LARGE.values(), ids=list(TOO_LARGE))
async def test_fetch_with_large_or_corrupt_body_fails(handler: Handler) -> None:
    async with served(handler) as port:
        assert await reason(f"http://127.0.0.1:{port}")


async def test_fetch_with_body_of_the_limit_succeeds() -> None:
    owner = b'{"id":1,"login":"Ada","public_repos":1}'
    page = b'[{"id":1,"name":"x"}]'

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = page if b"/repos" in head else owner
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        writer.write(body + b" " * (MAX_RESPONSE_BYTES - len(body)))

    async with served(handle) as port, open_network_client(f"http://127.0.0.1:{port}") as github:
        assert len((await github.fetch("ada")).repositories) == 1


async def test_fetch_many_with_slow_body_stops_at_request_timeout() -> None:
    """F17: a response of single bytes blocked a background worker forever."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with (
        served(trickle) as port,
        open_network_client(f"http://127.0.0.1:{port}", seconds=0.2, tokens=(TOKEN,)) as github,
    ):
        results = await BatchFetcher(github, clock=lambda: NOW).fetch_many(OWNERS[:4])
    assert all(isinstance(result, GitHubUnavailable) for result in results)


def make_authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Create a self-signed certificate for `localhost`; return its file and a server context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own authority")])
    now = datetime.now(UTC)
    alternatives = [x509.DNSName("localhost"), x509.DNSName("github.test")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - HOUR)
        .not_valid_after(now + HOUR)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, private = folder / "ca.pem", folder / "key.pem"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority, private)
    return authority, context


async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    body: Any = {"id": 1, "login": "Ada", "public_repos": 1}
    encoded = json.dumps([{"id": 1, "name": "x"}] if b"/repos" in head else body).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + encoded)


async def test_fetch_trusts_private_ca_only_with_ssl_cert_file(
    tmp_path: Path,
) -> None:
    """E3: an intercepting proxy, or an Enterprise Server with a private CA."""
    authority, tls = make_authority(tmp_path)
    async with served(respond, tls=tls) as port:
        url = f"https://localhost:{port}"
        assert "certificate is not trusted" in await reason(url)
        # `docker run --env-file` keeps quotes and a CR.
        for value in (str(authority), f'"{authority}"\r'):
            async with open_network_client(url, environment={"SSL_CERT_FILE": value}) as github:
                assert (await github.fetch("ada")).owner.login == "Ada"
    unfit = tmp_path / "unfit.pem"
    unfit.write_text("no certificate")
    for path in ("/no/such/file", unfit):
        with pytest.raises(ConfigurationError, match=r"SSL_CERT_FILE can't be used: [A-Za-z ]+"):
            await reason("https://localhost:1", environment={"SSL_CERT_FILE": str(path)})


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://github.test"])
async def test_requests_of_other_accounts_have_no_cookies_of_the_first(url: str) -> None:
    """GitHub, or a proxy in front of it, sets cookies with every response."""
    heads = list[bytes]()

    async def set_cookies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        names = ("session", f"c{len(heads)}")
        cookies = "".join(f"set-cookie: {name}=x; Path=/; Max-Age=9999\r\n" for name in names)
        # One whose domain is invalid, and one of an older standard.
        cookies += "set-cookie: a=b; Domain=..; Expires=x\r\nset-cookie2: c=d; Version=1\r\n"
        writer.write(f"HTTP/1.1 403 Forbidden\r\n{cookies}content-length: 2\r\n\r\n{{}}".encode())

    async with served(set_cookies) as port:
        address = url.format(port=port)
        environment = {"HTTP_PROXY": f"http://127.0.0.1:{port}"}
        async with open_github_http(timeout=HOUR, api_url=address, environment=environment) as http:
            for token in (TOKEN, OTHER_TOKEN, TOKEN):
                await http.get(f"{address}/users/ada", headers={"authorization": f"Bearer {token}"})
            assert len(http.cookies.jar) == 0
    assert [OTHER_TOKEN.encode() in head for head in heads] == [False, True, False]
    assert not [head for head in heads if b"cookie" in head.lower()]


async def test_cancelled_tls_handshake_closes_its_connection() -> None:
    """When one of the first two requests fails, the other is cancelled, at times in its handshake."""
    hello, ended = asyncio.Event(), asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        hello.set()
        await reader.read()
        ended.set()

    async with served(stall) as port, open_network_client(f"https://localhost:{port}") as github:
        fetch = asyncio.create_task(github.fetch("ada"))
        await hello.wait()
        # While the task is referenced, no garbage collection can close the connection instead.
        fetch.cancel()
        async with asyncio.timeout(5):
            await ended.wait()
        with pytest.raises(asyncio.CancelledError):
            await fetch


@asynccontextmanager
async def proxied(status: str = "200 OK") -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run a proxy that responds to every request; yield its URL and the request heads."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        body: Any = {"id": 1, "login": "Ada", "public_repos": 1}
        encoded = json.dumps([{"id": 1, "name": "x"}] if b"/repos" in head else body).encode()
        writer.write(f"HTTP/1.1 {status}\r\nconnection: close\r\n\r\n".encode() + encoded)

    async with served(handle) as port:
        yield f"127.0.0.1:{port}", heads


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", "", "http://me:s3cret@"])
async def test_fetch_uses_proxy_of_environment(name: str, scheme: str) -> None:
    """E2: only the proxy can resolve the host name."""
    async with proxied() as (address, heads):
        environment = {name: f"{scheme}{address}"}
        async with open_network_client("http://github.test", environment=environment) as github:
            assert (await github.fetch("ada")).owner.login == "Ada"
    assert all(head.startswith(b"GET http://github.test/users/ada") for head in heads)
    assert all((b"proxy-authorization" in head.lower()) == ("@" in scheme) for head in heads)


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("", "http://github.test", False),
        ("github.test", "http://github.test", True),
        ("other.test, .test", "http://github.test", True),
        ("*.test", "http://github.test", True),
        ("*", "http://github.test", True),
        ("hub.test", "http://github.test", False),
        ("github.test:8080", "http://github.test", False),
        ("github.test:80", "http://github.test", True),
        ("10.0.0.0/8", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("GitHub.Test", "http://github.test", True),
        ("", "http://127.0.0.1:9", True),
        ("", "http://localhost:9", True),
        ("", "http://[::1]:9", True),
        ("::1/x,[", "http://github.test", False),
    ],
)
def test_proxy_from_environment_no_proxy(no_proxy: str, url: str, is_direct: bool) -> None:
    environment = {"HTTP_PROXY": "http://proxy.test:3128", "NO_PROXY": no_proxy}
    assert (proxy_from_environment(url, environment) is None) == is_direct


@pytest.mark.parametrize(
    "address",
    [
        *("socks5://u:s3cret@x:1", "http://[s3cret", "ftp://s3cret@x"),
        *(f"http://user:12{sign}s3cret@proxy:3128" for sign in "#/?"),
        *(f"user:12{sign}s3cret@proxy:3128" for sign in "#/?"),
        *("http://user:#s3cret@proxy", "http://s3cret:1/@proxy:3128", "http://x:1/s3cret"),
    ],
)
def test_proxy_from_environment_with_invalid_url_hides_its_password(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        proxy_from_environment("https://api.github.com", {"HTTPS_PROXY": address})
    assert "HTTPS_PROXY" in str(caught.value)
    assert not [part for part in ("s3cret", "12", "user:") if part in str(caught.value)]
    assert "%23" in str(caught.value)
    assert caught.value.__cause__ is None


def test_proxy_from_environment_with_encoded_password_decodes_it() -> None:
    environment = {"HTTPS_PROXY": "http://user:12%23s3%2Fc%3Fret@proxy:3128/"}
    proxy = proxy_from_environment("https://api.github.com", environment)
    assert proxy is not None
    assert (str(proxy.url).rstrip("/"), proxy.auth) == (
        "http://proxy:3128",
        ("user", "12#s3/c?ret"),
    )


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def test_fetch_failure_names_its_cause() -> None:
    """E2, E3, N5: the message was only `ConnectError`."""
    assert "name nobody.invalid can't be resolved" in await reason("http://nobody.invalid")
    assert "connection is refused" in await reason("http://127.0.0.1:1")
    async with served(plain) as port:
        assert "no TLS connection" in await reason(f"https://localhost:{port}")
    async with served(closing) as port:
        assert "connection broke" in await reason(f"http://127.0.0.1:{port}")
    async with served(silent) as port:
        url = f"http://127.0.0.1:{port}"
        async with open_github_http(
            timeout=timedelta(seconds=0.1), api_url=url, environment={}
        ) as http:
            github = GitHubClient(
                http,
                api_url=url,
                accounts=create_accounts([]),
                timeout=timedelta(seconds=5),
                clock=lambda: datetime.now(UTC),
            )
            with pytest.raises(GitHubUnavailable, match="time-out"):
                await github.fetch("ada")
    refused = {"HTTP_PROXY": "http://me:s3cret@127.0.0.1:1"}
    refused_reason = await reason("http://github.test", environment=refused)
    assert "proxy: 127.0.0.1:1: the connection is refused" in refused_reason
    assert "s3cret" not in refused_reason
    unknown = {"HTTP_PROXY": "http://nobody.invalid:3128"}
    assert "proxy: nobody.invalid:3128" in await reason("http://github.test", environment=unknown)
    async with proxied("407 Proxy Authentication Required") as (address, _):
        environment = {"HTTPS_PROXY": address, "HTTP_PROXY": address}
        assert "proxy" in (await reason("https://github.test", environment=environment)).lower()
        assert "proxy" in (await reason("http://github.test", environment=environment)).lower()


def test_parse_page_with_any_text_raises_nothing() -> None:
    """F1: parsing any body returns a result."""
    for body in (b"", b"[", b"{}", b"null", b"[null]", b'["\\ud800"]', b"\xff\xfe", b"[" * 100_000):
        assert isinstance(rest.parse_page(GitHubResponse(200, {}, body), number=1), Failure)

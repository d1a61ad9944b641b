"""What the client does with answers that a working GitHub does not give: no socket is opened."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
import stamina
from structlog.testing import capture_logs

from github_banners.errors import GitHubUnavailable, UnknownUser
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import create_accounts
from github_banners.github.protocol import RateLimit, Resource
from github_banners.models import Owner
from github_banners.settings import Secret
from tests.unit.github.samples import NOW, owner_node, rate, repository_node
from tests.unit.github.wire import (
    OWNER_BODY,
    REPOSITORY,
    Wire,
    opened,
    rest_answer,
    said,
    whole_answer,
)

TOKEN = "ghp_Token0123456789"
ADA = Owner(1, "Ada", node_id="U_1", display_name="Ada L")
SAML = {"message": "Resource protected by organization SAML enforcement."}
HOUR = timedelta(hours=1)


def is_anonymous(request: httpx2.Request) -> bool:
    return "authorization" not in request.headers


@pytest.fixture(autouse=True)
def hurried() -> Iterator[None]:
    """Try again at once."""
    with stamina.set_testing(True, attempts=3):
        yield


async def test_a_question_names_its_format_and_its_payer(wire: Wire) -> None:
    async with opened(wire, TOKEN) as github:
        portfolio = await github.fetch("Ada")
    (request,) = wire.asked
    assert (request.method, str(request.url)) == ("POST", "https://api.example/graphql")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content)["variables"] == {"l0": "Ada"}
    assert (portfolio.owner, portfolio.fetched_at, portfolio.reported_count) == (ADA, NOW, 1)


async def test_without_a_token_rest_is_asked_as_nobody(wire: Wire) -> None:
    async with opened(wire) as github:
        portfolio = await github.fetch("a/../b?c")
    assert portfolio.owner == ADA
    assert sorted(request.url.raw_path.decode() for request in wire.asked) == [
        "/users/a%2F..%2Fb%3Fc",
        "/users/a%2F..%2Fb%3Fc/repos?type=owner&sort=full_name&per_page=100&page=1",
    ]
    for request in wire.asked:
        assert is_anonymous(request)
        assert "content-type" not in request.headers
        assert request.headers["accept"] == "application/vnd.github+json"
        assert request.headers["x-github-api-version"]
        assert request.headers["user-agent"].startswith("github-banners/")


async def test_followers_are_the_same_over_both_protocols(wire: Wire) -> None:
    wire.graphql = lambda request: whole_answer(u0=owner_node() | {"followers": {"totalCount": 7}})
    wire.rest = lambda request: (
        rest_answer(request)
        if request.url.path.endswith("/repos")
        else said(OWNER_BODY | {"followers": 7})
    )
    async with opened(wire, TOKEN) as github:
        assert (await github.fetch("Ada")).followers == 7
    async with opened(wire) as github:
        assert (await github.fetch("Ada")).followers == 7
    assert wire.paths()[:2] == ["/graphql", "/users/Ada"]


async def test_an_owner_without_a_node_id_is_asked_for_by_number(wire: Wire) -> None:
    async with opened(wire, TOKEN) as github:
        await github.fetch_by_id(Owner(1, "Ada"))
    assert sorted(wire.paths()) == ["/user/1", "/user/1/repos"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"message": "Not Found"}),
        (503, {"message": "Unicorn!"}),
        (502, {"message": "Bad Gateway"}),
        (200, {"message": "Field 'u0' doesn't exist"}),
        (200, {"data": {"u0": {"id": "U_1"}, "nodes": []}}),
        (200, {"data": {}}),
    ],
)
@pytest.mark.parametrize("is_known", [False, True])
async def test_rest_helps_where_graphql_is_broken(
    wire: Wire, status: int, body: Any, is_known: bool
) -> None:
    wire.graphql = lambda request: said(body, status=status)
    async with opened(wire, TOKEN) as github:
        portfolio = await (github.fetch_by_id(ADA) if is_known else github.fetch("Ada"))
    assert (portfolio.owner, len(portfolio.repositories)) == (ADA, 1)
    assert wire.paths().count("/graphql") == 1


async def test_what_a_token_may_not_see_is_asked_for_without_one(wire: Wire) -> None:
    wire.graphql = lambda request: said(
        {"data": {"u0": None}, "errors": [{"type": "FORBIDDEN", "path": ["u0"], "message": "SAML"}]}
    )
    wire.rest = lambda request: (
        rest_answer(request) if is_anonymous(request) else said(SAML, status=403)
    )
    async with opened(wire, TOKEN) as github:
        portfolio = await github.fetch("Ada")
        assert portfolio.owner == ADA
        wire.graphql = lambda request: whole_answer()
        await github.fetch("Ada")
    assert wire.paths()[-1] == "/graphql"


async def test_an_account_is_asked_once_for_each_question(wire: Wire) -> None:
    """Advice to wait no time at all does not make the same account pay again."""
    refusal = {"message": "You have exceeded a secondary rate limit."}
    wire.rest = lambda request: said(refusal, status=429, headers={"retry-after": "0"})
    async with opened(wire) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
    assert len(wire.asked) <= 2


async def test_the_ration_that_a_refused_token_is_told_is_not_its_own(wire: Wire) -> None:
    ration = rate(remaining=0, limit=60, reset_in=HOUR)
    wire.graphql = lambda request: said({"message": "Bad credentials"}, status=401, headers=ration)
    accounts = create_accounts([Secret(TOKEN)])
    async with opened(wire, accounts=accounts) as github:
        await github.fetch("Ada")
    later = NOW + timedelta(minutes=1)
    assert [accounts[0].remaining(resource, now=later) for resource in Resource] == [5000, 5000]
    assert accounts[0].is_usable(Resource.CORE, now=later)


async def test_parallel_refusals_of_a_token_are_one_strike(wire: Wire) -> None:
    node = owner_node(repository_node(7), total=800, cursor="Y3")
    wire.graphql = lambda request: whole_answer(u0=node)
    wire.rest = lambda request: said({"message": "Bad credentials"}, status=401)
    accounts = create_accounts([Secret(TOKEN)])
    async with opened(wire, accounts=accounts) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
    assert [account.credentials[0].consecutive_failures for account in accounts] == [1, 1]


async def test_what_never_arrived_is_not_paid(wire: Wire) -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no route")

    wire.rest = refuse
    accounts = create_accounts([])
    async with opened(wire, accounts=accounts) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
    assert accounts[0].remaining(Resource.CORE, now=NOW) == 60


async def test_parallel_questions_do_not_spend_the_same_room(wire: Wire) -> None:
    wire.rest = lambda request: said(
        [REPOSITORY], headers=rate(remaining=2, limit=3, reset_in=HOUR)
    )
    accounts = create_accounts([])
    async with opened(wire, accounts=accounts) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
        asked = len(wire.asked)
        wire.rest = lambda request: said(
            OWNER_BODY, headers=rate(remaining=0, limit=60, reset_in=HOUR)
        )
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
        assert len(wire.asked) - asked <= 2
        assert accounts[0].remaining(Resource.CORE, now=NOW) == 0


async def test_a_refusal_waits_from_when_it_came(wire: Wire) -> None:
    moments = iter([NOW, NOW, *[NOW + timedelta(seconds=8)] * 20])
    accounts = create_accounts([Secret(TOKEN)])
    now = NOW

    def tick() -> datetime:
        nonlocal now
        now = next(moments)
        return now

    body = {"message": "You have exceeded a secondary rate limit."}
    wire.graphql = lambda request: said(body)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(wire), trust_env=False) as http:
        github = GitHubClient(
            http,
            api_url="https://api.example",
            accounts=accounts,
            timeout=timedelta(seconds=5),
            clock=tick,
        )
        await github.fetch("Ada")
    assert accounts[0].blocked_until[Resource.CORE] == NOW + timedelta(seconds=68)


@pytest.mark.parametrize(
    ("graphql_left", "core_left", "asked"),
    [
        (501, 0, ["/graphql"]),
        (500, 501, ["/users/Ada", "/users/Ada/repos"]),
        (500, 500, []),
        (1, 1, []),
    ],
)
async def test_strangers_leave_a_tenth_to_those_who_are_known(
    wire: Wire, graphql_left: int, core_left: int, asked: list[str]
) -> None:
    accounts = create_accounts([Secret(TOKEN)])
    for resource, left in ((Resource.GRAPHQL, graphql_left), (Resource.CORE, core_left)):
        accounts[0].update_rate_limit(RateLimit(resource, 5000, left, NOW + HOUR))
    accounts.pop()
    async with opened(wire, accounts=accounts) as github:
        with nullcontext() if asked else pytest.raises(GitHubUnavailable, match="known"):
            await github.fetch("Ada")
        assert sorted(wire.paths()) == asked
        wire.asked.clear()
        with suppress(GitHubUnavailable):  # this wire answers only by name
            await github.fetch_by_id(ADA)
        assert wire.paths()[0] == "/graphql"


async def test_a_stranger_s_long_list_stops_at_what_is_kept(wire: Wire) -> None:
    accounts = create_accounts([Secret(TOKEN)])
    accounts.pop()
    left = iter(range(510, 0, -1))

    def rest(request: httpx2.Request) -> httpx2.Response:
        headers = rate(remaining=next(left), limit=5000, reset_in=HOUR)
        if not request.url.path.endswith("/repos"):
            return said(OWNER_BODY | {"public_repos": 9_000}, headers=headers)
        last = '<https://api.example/users/Ada/repos?page=90>; rel="last"'
        return said([REPOSITORY], headers={**headers, "link": last})

    wire.rest = rest
    accounts[0].update_rate_limit(RateLimit(Resource.GRAPHQL, 5000, 1, NOW + HOUR))
    async with opened(wire, accounts=accounts) as github:
        with pytest.raises(GitHubUnavailable, match="reserved for known users"):
            await github.fetch("Ada")
    assert len(wire.asked) == 2
    assert accounts[0].remaining(Resource.CORE, now=NOW) >= 500


async def test_no_more_than_eight_pages_at_once(wire: Wire) -> None:
    at_once, most = 0, 0

    async def page(request: httpx2.Request) -> httpx2.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        at_once -= 1
        number = int(request.url.params["page"])
        return said(
            [{"id": number * 100 + number_in_page, "name": "x"} for number_in_page in range(100)]
        )

    wire.rest = page
    wire.graphql = lambda request: whole_answer(u0=owner_node(total=2500, cursor="Y3"))
    async with opened(wire, TOKEN) as github:
        portfolio = await github.fetch("Ada")
    assert len(portfolio.repositories) == 2500
    assert most == 8


async def test_ninth_page_does_not_wait_for_slow_first_page(wire: Wire) -> None:
    is_ninth_requested = asyncio.Event()

    async def page(request: httpx2.Request) -> httpx2.Response:
        number = int(request.url.params["page"])
        if number == 9:
            is_ninth_requested.set()
        if number == 1:
            await is_ninth_requested.wait()
        return said([{"id": number * 100 + index, "name": "x"} for index in range(100)])

    wire.rest = page
    wire.graphql = lambda request: whole_answer(u0=owner_node(total=900, cursor="Y3"))
    async with opened(wire, TOKEN) as github:
        portfolio = await github.fetch("Ada")
    assert [repository.id for repository in portfolio.repositories] == list(range(100, 1000))


async def test_eight_empty_pages_end_the_list(wire: Wire) -> None:
    def page(request: httpx2.Request) -> httpx2.Response:
        return said([]) if "page" in request.url.params else said({}, status=404)

    wire.rest = page
    wire.graphql = lambda request: whole_answer(u0=owner_node(total=9000, cursor="Y3"))
    async with opened(wire, TOKEN) as github:
        await github.fetch("Ada")
    numbers = {int(request.url.params.get("page", 1)) for request in wire.asked}
    assert numbers == set(range(1, 9))


async def test_pages_that_appear_on_the_way_are_fetched(wire: Wire) -> None:
    """The list has grown since its length was told."""

    def page(request: httpx2.Request) -> httpx2.Response:
        if "page" not in request.url.params:
            return said({"id": 1, "login": "Ada", "public_repos": 4})
        number = int(request.url.params["page"])
        link = f'<https://api.example/user/1/repos?page={number + 1}>; rel="next"'
        return said([{"id": number, "name": "x"}], headers={"link": link} if number < 4 else {})

    wire.rest = page
    wire.graphql = lambda request: whole_answer(u0=owner_node(total=101, cursor="Y3"))
    async with opened(wire, TOKEN) as github:
        portfolio = await github.fetch("Ada")
    assert [repository.id for repository in portfolio.repositories] == [1, 2, 3, 4]


async def test_what_graphql_leaves_out_comes_from_rest(wire: Wire) -> None:
    wire.graphql = lambda request: whole_answer(u0=owner_node(None, total=1))
    async with opened(wire, TOKEN) as github:
        portfolio = await github.fetch("Ada")
    assert (len(portfolio.repositories), portfolio.reported_count) == (1, 1)
    assert wire.paths() == ["/graphql", "/users/Ada", "/users/Ada/repos"]


async def test_a_list_of_the_wrong_length_is_asked_for_once_more_and_taken(wire: Wire) -> None:
    def rest(request: httpx2.Request) -> httpx2.Response:
        if "page" in request.url.params:
            return said([{"id": 7, "name": "x"}])
        return said({"id": 1, "login": "Ada", "public_repos": 2})

    wire.rest = rest
    async with opened(wire) as github:
        with capture_logs() as events:
            portfolio = await github.fetch("Ada")
    assert (len(portfolio.repositories), portfolio.reported_count) == (1, 2)
    assert wire.paths().count("/users/Ada/repos") == 2
    (warning,) = [event for event in events if event["log_level"] == "warning"]
    assert (warning["event"], warning["listed"], warning["expected"]) == (
        "github.length_differs",
        1,
        2,
    )


async def test_a_list_that_is_whole_at_the_second_look(wire: Wire) -> None:
    nodes = iter([owner_node(None, repository_node(7)), owner_node(repository_node(7))])
    wire.graphql = lambda request: whole_answer(u0=next(nodes))
    async with opened(wire, TOKEN) as github:
        with capture_logs() as events:
            portfolio = await github.fetch("Ada")
    assert len(portfolio.repositories) == portfolio.reported_count == 1
    assert not [event for event in events if event["log_level"] == "warning"]


async def test_nearly_a_whole_list_is_worth_more_than_none(wire: Wire) -> None:
    answers = iter([whole_answer(u0=owner_node(repository_node(7), total=2))])
    wire.graphql = lambda request: next(answers, None) or said({}, status=502)
    wire.rest = lambda request: said({}, status=502)
    async with opened(wire, TOKEN) as github:
        portfolio = await github.fetch("Ada")
    assert (len(portfolio.repositories), portfolio.reported_count) == (1, 2)


async def test_a_heavy_page_is_asked_for_again_and_a_heavy_query_is_not(wire: Wire) -> None:
    wire.graphql = wire.rest = lambda request: said({}, status=504)
    async with opened(wire, TOKEN) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
    assert wire.paths().count("/graphql") == 1
    assert wire.paths().count("/users/Ada") == 3


async def test_an_answer_that_never_ends_leaves_nothing_under_way(wire: Wire) -> None:
    async def silence(request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    wire.rest = silence
    accounts = create_accounts([])
    async with opened(wire, accounts=accounts, seconds=0.05) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("Ada")
        assert accounts[0].remaining(Resource.CORE, now=NOW) == 60
        assert len(asyncio.all_tasks()) == 1


async def test_the_first_failure_ends_the_other_questions(wire: Wire) -> None:
    async def one_page_is_slow(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/repos"):
            await asyncio.Event().wait()
        return said({"message": "Not Found"}, status=404)

    wire.rest = one_page_is_slow
    async with opened(wire) as github:
        with pytest.raises(UnknownUser):
            await github.fetch("Ada")
        assert len(asyncio.all_tasks()) == 1

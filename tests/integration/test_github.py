"""The client against the sandbox on a real port: whole portfolios, and every way to fail."""

import logging
import math
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

import httpx2
import pytest
import stamina
from structlog.testing import capture_logs

from github_banners.errors import GitHubUnavailable, UnknownUser
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import create_accounts
from github_banners.github.graphql import (
    OwnerPage,
    Query,
    RepositoryPage,
    build_id_query,
    build_login_query,
    build_page_query,
    parse_owners_by_id,
    parse_owners_by_login,
    parse_repository_page,
)
from github_banners.github.protocol import Failure, FailureKind, GitHubResponse
from github_banners.github.transport import open_http
from github_banners.models import OwnerRepositories, utc_now
from github_banners.settings import Secret
from tests.acceptance.processes import running

FIRST, SECOND, REVOKED = "ghp_First0123456789abcdef", "ghp_Second0123456789", "ghp_Revoked01234"
PEOPLE = {
    "nell-newcomer": 0,
    "mia-maintains": 30,
    "umbra-labs": 64,
    "big-150": 150,
    "pat-prolific": 1000,
    "hana-hoards": 2345,
}
NOTHING_GOES_WELL = ["502", "503", "drop", "half", "html", "401", "rate-limited"]
SECONDARY = ["secondary", "secondary-429"]
PASSING = ["502", "503", "drop", "half", "html"]
_numbers = count(1)


class Sandbox:
    """A running sandbox, its faults and its counters."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.Client(base_url=url, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def fail(self, *kinds: str, share: float = 1.0, **more: Any) -> None:
        self._tell("PUT", "/_sandbox/faults", {"fail": kinds, "fail_rate": share, **more})

    def calls(self) -> dict[str, int]:
        calls: dict[str, int] = self._http.get("/_sandbox/calls").json()
        return calls

    def change(self, what: str, **wish: Any) -> None:
        self._tell("POST", f"/_sandbox/{what}", wish)

    def _tell(self, method: str, path: str, wish: dict[str, Any]) -> None:
        assert self._http.request(method, path, json=wish).is_success


@contextmanager
def started(*options: str) -> Iterator[Sandbox]:
    tokens = (f"--token={FIRST}=101", f"--token={SECOND}=102", f"--token={REVOKED}=")
    with running("sandbox", "--port=0", *tokens, *options) as process:
        sandbox = Sandbox(process.url)
        yield sandbox
        sandbox.close()


@pytest.fixture(scope="module")
def calm() -> Iterator[Sandbox]:
    """A sandbox where all goes well; its 60 questions without a token are nearly used up."""
    with started() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def moody() -> Iterator[Sandbox]:
    with started() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(moody: Sandbox) -> Iterator[Sandbox]:
    """A sandbox where all goes well, and does again afterwards."""
    yield moody
    moody.fail()


@pytest.fixture(autouse=True)
def hurried() -> Iterator[None]:
    """Try again at once."""
    with stamina.set_testing(True, attempts=3):
        yield


@asynccontextmanager
async def opened(url: str, *tokens: str, seconds: float = 10) -> AsyncIterator[GitHubClient]:
    """Open a client that every test has to itself."""
    timeout = timedelta(seconds=seconds)
    async with open_http(timeout=timeout, api_url=url) as http:
        accounts = create_accounts([Secret(token) for token in tokens])
        yield GitHubClient(http, api_url=url, accounts=accounts, timeout=timeout, clock=utc_now)


@pytest.fixture
async def by_graphql(sandbox: Sandbox) -> AsyncIterator[GitHubClient]:
    async with opened(sandbox.url, FIRST) as github:
        yield github


@pytest.fixture
def somebody(sandbox: Sandbox) -> str:
    """The login of somebody with 30 repositories whom no other test knows."""
    return f"dev-{1000 + next(_numbers)}"


def asked(sandbox: Sandbox, before: dict[str, int]) -> tuple[int, int]:
    """Count the questions since: over REST and over GraphQL."""
    now = sandbox.calls()
    return now["rest"] - before["rest"], now["graphql"] - before["graphql"]


def by_id(portfolio: OwnerRepositories) -> list[Any]:
    return sorted(portfolio.repositories, key=lambda repository: repository.id)


@pytest.mark.parametrize("login", PEOPLE)
async def test_rest_and_graphql_tell_the_same(calm: Sandbox, login: str) -> None:
    size = PEOPLE[login]
    pages = max(1, math.ceil(size / 100))
    async with opened(calm.url) as by_rest, opened(calm.url, FIRST) as by_graphql:
        before = calm.calls()
        rest = await by_rest.fetch(login.upper())
        assert asked(calm, before) == (1 + pages, 0)
        before = calm.calls()
        graphql = await by_graphql.fetch(login)
        assert asked(calm, before) == (pages if size > 100 else 0, 1)
    assert rest.owner == graphql.owner
    assert rest.owner.login == login
    assert rest.owner.node_id
    assert by_id(rest) == by_id(graphql)
    assert rest.reported_count == graphql.reported_count == size == len(rest.repositories)


async def ask(sandbox: Sandbox, question: Query) -> GitHubResponse:
    """Ask GraphQL one question, as a batch would."""
    headers = {"authorization": f"Bearer {SECOND}", "user-agent": "test"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
        response = await http.post(f"{sandbox.url}/graphql", content=question.to_json())
    return GitHubResponse(response.status_code, response.headers, response.content)


async def test_twenty_owners_cost_one_point(sandbox: Sandbox, by_graphql: GitHubClient) -> None:
    logins = [f"dev-{number}" for number in range(1, 20)]
    question = build_login_query([*logins, "nobody-at-all"])
    before = sandbox.calls()["graphql_points"]
    answers = parse_owners_by_login(await ask(sandbox, question), question, now=utc_now())
    assert sandbox.calls()["graphql_points"] - before == 1
    assert isinstance(answers, list)
    known = [answer for answer in answers if isinstance(answer, OwnerPage)]
    assert [owner_page.owner.login for owner_page in known] == logins
    assert answers[19:] == [Failure(FailureKind.NOT_FOUND)]
    again = build_id_query(
        [owner_page.owner.node_id for owner_page in known if owner_page.owner.node_id]
    )
    assert parse_owners_by_id(await ask(sandbox, again), now=utc_now()) == known
    alone = await by_graphql.fetch("dev-7")
    assert (alone.owner, alone.repositories) == (known[6].owner, known[6].repositories)


async def test_the_cursor_leads_to_what_the_pages_hold(
    sandbox: Sandbox, by_graphql: GitHubClient
) -> None:
    whole = await by_graphql.fetch("big-250")
    assert whole.owner.node_id is not None
    question = build_id_query([whole.owner.node_id])
    first = parse_owners_by_id(await ask(sandbox, question), now=utc_now())
    assert isinstance(first, list)
    assert isinstance(first[0], OwnerPage)
    walked, cursor = [*first[0].repositories], first[0].next_cursor
    while cursor is not None:
        question = build_page_query(whole.owner.node_id, after=cursor)
        page = parse_repository_page(await ask(sandbox, question), now=utc_now())
        assert isinstance(page, RepositoryPage)
        walked += page.repositories
        cursor = page.next_cursor
    assert sorted(walked, key=lambda repository: repository.id) == by_id(whole)


async def test_the_time_is_that_of_the_question(sandbox: Sandbox, by_graphql: GitHubClient) -> None:
    sandbox.fail(latency_seconds=0.2)
    before = utc_now()
    portfolio = await by_graphql.fetch("mia-maintains")
    assert before <= portfolio.fetched_at <= utc_now() - timedelta(seconds=0.2)


async def test_an_enterprise_server(sandbox: Sandbox) -> None:
    before = sandbox.calls()
    async with opened(f"{sandbox.url}/api/v3", FIRST) as github:
        portfolio = await github.fetch("big-150")
    assert len(portfolio.repositories) == 150
    assert asked(sandbox, before) == (2, 1)


@pytest.mark.parametrize("tokens", [(), (FIRST,)], ids=["rest", "graphql"])
async def test_nobody(sandbox: Sandbox, tokens: tuple[str, ...]) -> None:
    async with opened(sandbox.url, *tokens) as github:
        with pytest.raises(UnknownUser) as caught:
            await github.fetch("nobody-at-all")
    assert caught.value.name == "nobody-at-all"


@pytest.mark.parametrize("tokens", [(), (FIRST,)], ids=["rest", "graphql"])
async def test_a_rename_is_followed(
    sandbox: Sandbox, somebody: str, tokens: tuple[str, ...]
) -> None:
    async with opened(sandbox.url, *tokens) as github:
        before = await github.fetch(somebody)
        sandbox.change("rename", login=somebody, to=f"{somebody}-moved")
        after = await github.fetch_by_id(before.owner)
        with pytest.raises(UnknownUser):
            await github.fetch(somebody)
    assert after.owner.id == before.owner.id
    assert after.owner.login == f"{somebody}-moved"
    assert by_id(after) == by_id(before)


@pytest.mark.parametrize("tokens", [(), (FIRST,)], ids=["rest", "graphql"])
async def test_a_name_taken_over_is_somebody_else(
    sandbox: Sandbox, somebody: str, tokens: tuple[str, ...]
) -> None:
    async with opened(sandbox.url, *tokens) as github:
        before = await github.fetch(somebody)
        sandbox.change("rename", login=somebody, to=f"{somebody}-moved")
        sandbox.change("change", login=somebody, take_over=True)
        new_holder = await github.fetch(somebody)
        followed = await github.fetch_by_id(before.owner)
    assert new_holder.owner.id != before.owner.id
    assert followed.owner.id == before.owner.id


@pytest.mark.parametrize("tokens", [(), (FIRST,)], ids=["rest", "graphql"])
async def test_who_is_gone_is_unknown(
    sandbox: Sandbox, somebody: str, tokens: tuple[str, ...]
) -> None:
    async with opened(sandbox.url, *tokens) as github:
        before = await github.fetch(somebody)
        sandbox.change("delete", login=somebody)
        with pytest.raises(UnknownUser) as caught:
            await github.fetch_by_id(before.owner)
    assert caught.value.name == somebody


async def test_a_rename_is_followed_through_all_pages(
    sandbox: Sandbox, by_graphql: GitHubClient
) -> None:
    before = await by_graphql.fetch("big-333")
    sandbox.change("rename", login="big-333", to="Bigger")
    after = await by_graphql.fetch_by_id(before.owner)
    assert after.owner.login == "Bigger"
    assert len(after.repositories) == 333


@pytest.mark.parametrize("tokens", [(), (FIRST,), (FIRST, SECOND)], ids=["none", "one", "two"])
@pytest.mark.parametrize("failure", NOTHING_GOES_WELL + SECONDARY)
async def test_a_github_that_fails_is_unavailable(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, failure: str, tokens: tuple[str, ...]
) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox.fail(failure)
    with capture_logs() as events:
        async with opened(sandbox.url, *tokens) as github:
            with pytest.raises(GitHubUnavailable) as caught:
                await github.fetch("mia-maintains")
    assert [event["event"] for event in events if event["log_level"] == "warning"][
        -1
    ] == "github.refused"
    assert_no_token_in(events, caplog, caught.value)


@pytest.mark.parametrize("tokens", [(), (FIRST,)], ids=["rest", "graphql"])
async def test_a_github_that_says_nothing_is_given_up_in_time(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, tokens: tuple[str, ...]
) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox.fail("timeout")
    with capture_logs() as events:
        async with opened(sandbox.url, *tokens, seconds=0.3) as github:
            started_at = time.monotonic()
            with pytest.raises(GitHubUnavailable) as caught:
                await github.fetch("big-150")
            waited_seconds = time.monotonic() - started_at
    assert 0.2 < waited_seconds < 1.0
    assert_no_token_in(events, caplog, caught.value)


def assert_no_token_in(
    events: list[Any], caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    said = [repr(events), caplog.text, *traceback.format_exception(error)]
    assert all(events)
    for token in (FIRST, SECOND, REVOKED):
        assert token not in "\n".join(said)


async def test_a_port_where_nobody_listens() -> None:
    async with opened("http://127.0.0.1:9", FIRST) as github:
        with pytest.raises(GitHubUnavailable):
            await github.fetch("mia-maintains")


@pytest.mark.parametrize("failure", PASSING)
async def test_what_passes_by_itself_is_not_noticed(
    sandbox: Sandbox, by_graphql: GitHubClient, failure: str
) -> None:
    # One or two of the eleven questions and their repetitions: too few to fail one of them thrice.
    sandbox.fail(failure, share=0.15)
    failed_before = sandbox.calls()["failed"]
    portfolio = await by_graphql.fetch("pat-prolific")
    assert len(portfolio.repositories) == 1000
    assert sandbox.calls()["failed"] > failed_before


async def test_rest_takes_over_what_is_too_heavy_for_graphql(
    sandbox: Sandbox, by_graphql: GitHubClient
) -> None:
    whole = await by_graphql.fetch("umbra-labs")
    sandbox.fail("partial")
    before = sandbox.calls()
    portfolio = await by_graphql.fetch("umbra-labs")
    assert asked(sandbox, before) == (2, 1)
    assert (portfolio.owner, by_id(portfolio)) == (whole.owner, by_id(whole))


async def test_the_next_account_pays_when_a_token_is_refused(sandbox: Sandbox) -> None:
    async with opened(sandbox.url, REVOKED, SECOND) as github:
        with capture_logs() as events:
            before = sandbox.calls()
            assert len((await github.fetch("mia-maintains")).repositories) == 30
            assert asked(sandbox, before) == (0, 2)
            await github.fetch("mia-maintains")
            assert asked(sandbox, before) == (0, 3)
    refused = [event for event in events if event["event"] == "github.account_refused"]
    assert [account["reason"] for account in refused] == ["bad-token"]
    assert REVOKED not in repr(events)


async def test_without_a_good_token_the_address_pays(sandbox: Sandbox) -> None:
    before = sandbox.calls()
    async with opened(sandbox.url, REVOKED) as github:
        assert len((await github.fetch("mia-maintains")).repositories) == 30
        assert asked(sandbox, before) == (2, 1)


async def test_the_next_account_pays_when_one_is_empty(sandbox: Sandbox) -> None:
    async with opened(sandbox.url, FIRST, SECOND) as github:
        # The first question goes well, the second is refused, the third is asked by the other.
        sandbox.fail("rate-limited", share=0.5)
        with capture_logs() as events:
            for _ in range(2):
                assert len((await github.fetch("mia-maintains")).repositories) == 30
    refused = [event["reason"] for event in events if event["event"] == "github.account_refused"]
    assert refused == ["primary-limit"]


async def test_an_empty_ration_is_not_asked_again() -> None:
    with started("--initial-budget=4") as sandbox:
        async with opened(sandbox.url) as github:
            found = await github.fetch("mia-maintains")
            assert len(found.repositories) == 30
            before = sandbox.calls()
            with pytest.raises(GitHubUnavailable):
                await github.fetch("sam-studies")
            assert asked(sandbox, before) == (0, 0)
            assert len((await github.fetch_by_id(found.owner)).repositories) == 30
            before = sandbox.calls()
            with pytest.raises(GitHubUnavailable):
                await github.fetch_by_id(found.owner)
            assert asked(sandbox, before) == (0, 0)

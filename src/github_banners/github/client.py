"""
The only sender: asks GitHub about one owner, and gets every public repository.

GraphQL where an account can pay for it, else REST; both give the same numbers. It holds no rule:
what an answer means stands in `protocol`, who pays in `accounts`.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar, overload
from urllib.parse import quote

import httpx2
import stamina
import structlog

from github_banners import __version__
from github_banners.errors import GitHubUnavailable, UnknownUser
from github_banners.github import graphql, rest
from github_banners.github.accounts import Account, choose
from github_banners.github.protocol import (
    API_VERSION,
    Failure,
    FailureKind,
    Reply,
    Resource,
    classify,
    read_room,
)
from github_banners.model import Clock, Owner, Portfolio, Repository

T = TypeVar("T")
U = TypeVar("U")

_log = structlog.get_logger(__name__)

_PARALLEL_PAGES = 8
_ATTEMPTS = 3
_CONNECT_SECONDS = 2.0
_HEADERS = {
    "accept": "application/vnd.github+json",
    "x-github-api-version": API_VERSION,
    "user-agent": f"github-banners/{__version__}",
}
# An organisation may forbid a kind of token, and show the same in public to whoever has none.
_ANOTHER_MAY_PAY = {
    FailureKind.PRIMARY_LIMIT,
    FailureKind.SECONDARY_LIMIT,
    FailureKind.BAD_TOKEN,
    FailureKind.SUSPENDED,
    FailureKind.FORBIDDEN,
}
_WORTH_A_RETRY = {
    FailureKind.SERVER,
    FailureKind.TOO_HEAVY,
    FailureKind.UNREADABLE,
    FailureKind.UNREACHABLE,
}
_REST_MAY_HELP = _ANOTHER_MAY_PAY | _WORTH_A_RETRY


class _Refused(Exception):
    """GitHub's answer was no answer."""

    def __init__(self, failure: Failure, resource: Resource) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure
        self.resource = resource


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    resource: Resource
    content: bytes | None = None


@asynccontextmanager
async def open_http(*, timeout: timedelta) -> AsyncIterator[httpx2.AsyncClient]:  # noqa: ASYNC109 - the wire's, not ours
    """Open the connections that every question shares; `timeout` bounds each wait on the wire."""
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=20)
    wait = httpx2.Timeout(timeout.total_seconds(), connect=_CONNECT_SECONDS)
    async with httpx2.AsyncClient(timeout=wait, limits=limits, trust_env=False) as http:
        yield http


class GitHub:
    """Asks one GitHub about owners; `timeout` bounds a whole answer, all its pages included."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        *,
        api_url: str,
        accounts: Sequence[Account],
        timeout: timedelta,
        clock: Clock,
    ) -> None:
        self._http = http
        self._rest_url = api_url
        self._graphql_url = _graphql_url(api_url)
        self._accounts = accounts
        self._timeout = timeout
        self._clock = clock

    async def fetch(self, login: str) -> Portfolio:
        """
        Ask about the present holder of a login.

        :raises UnknownUser: GitHub knows nobody of this name
        :raises GitHubUnavailable: no whole answer can be had now
        """
        question = graphql.ask_by_login([login])

        def read(reply: Reply) -> list[graphql.OwnerAnswer | Failure] | Failure:
            return graphql.read_by_login(reply, question, now=self._clock())

        path = f"/users/{quote(login, safe='')}"
        return await self._fetch(login, path, question, read)

    async def fetch_again(self, owner: Owner) -> Portfolio:
        """
        Ask about an owner seen before, whatever the login is now.

        :raises UnknownUser: the owner is gone
        :raises GitHubUnavailable: no whole answer can be had now
        """
        question = graphql.ask_by_id([owner.node_id]) if owner.node_id else None

        def read(reply: Reply) -> list[graphql.OwnerAnswer | Failure] | Failure:
            return graphql.read_by_id(reply, now=self._clock())

        return await self._fetch(owner.login, f"/user/{owner.id}", question, read)

    async def _fetch(
        self,
        name: str,
        path: str,
        question: graphql.Question | None,
        read: Callable[[Reply], list[graphql.OwnerAnswer | Failure] | Failure],
    ) -> Portfolio:
        asked_at = self._clock()
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                if (
                    question is None
                    or choose(self._accounts, Resource.GRAPHQL, now=asked_at) is None
                ):
                    return await self._by_rest(path, asked_at)
                return await self._by_graphql(path, question, read, asked_at)
        except _Refused as refused:
            if refused.failure.kind is FailureKind.NOT_FOUND:
                raise UnknownUser(name) from refused
            _log.warning("github.refused", owner=name, reason=str(refused))
            raise GitHubUnavailable from refused
        except TimeoutError as late:
            _log.warning("github.refused", owner=name, reason="timeout")
            raise GitHubUnavailable from late

    async def _by_graphql(
        self,
        path: str,
        question: graphql.Question,
        read: Callable[[Reply], list[graphql.OwnerAnswer | Failure] | Failure],
        asked_at: datetime,
    ) -> Portfolio:
        request = _Request("POST", self._graphql_url, Resource.GRAPHQL, question.to_json())

        def read_one(reply: Reply) -> graphql.OwnerAnswer | Failure:
            answers = read(reply)
            if isinstance(answers, Failure):
                return answers
            return answers[0] if answers else Failure(FailureKind.UNREADABLE, "an empty answer")

        async def ask_once() -> Portfolio:
            answer = await self._ask(request, read_one)
            repositories = answer.repositories
            if answer.next_cursor is not None:
                base = f"/users/{quote(answer.owner.login, safe='')}"
                repositories = await self._pages(base, at_least=answer.total)
            return Portfolio(answer.owner, repositories, asked_at, expected=answer.total)

        try:
            return await _complete(ask_once)
        except _Refused as refused:
            if refused.failure.kind not in _REST_MAY_HELP:
                raise
            return await self._by_rest(path, asked_at)

    async def _by_rest(self, path: str, asked_at: datetime) -> Portfolio:
        request = _Request("GET", self._rest_url + path, Resource.CORE)

        async def ask_once() -> Portfolio:
            answer, repositories = await _together(
                self._ask(request, rest.read_owner), self._pages(path)
            )
            return Portfolio(answer.owner, repositories, asked_at, expected=answer.public_repos)

        return await _complete(ask_once)

    async def _pages(self, path: str, *, at_least: int = 0) -> tuple[Repository, ...]:
        """Get every page of a list; `at_least` repositories are known to be there."""
        gate = asyncio.Semaphore(_PARALLEL_PAGES)

        async def get(number: int) -> rest.Page:
            address = (
                f"{self._rest_url}{path}/repos"
                f"?type=owner&sort=full_name&per_page={rest.PAGE_SIZE}&page={number}"
            )
            async with gate:
                return await self._ask(
                    _Request("GET", address, Resource.CORE), partial(rest.read_page, number=number)
                )

        wanted = max(1, math.ceil(at_least / rest.PAGE_SIZE))
        pages = list(await _together(*map(get, range(1, wanted + 1))))
        while (last := max(page.last for page in pages)) > len(pages):
            pages += await _together(*map(get, range(len(pages) + 1, last + 1)))
        return rest.merge(pages)

    async def _ask(self, request: _Request, read: Callable[[Reply], T | Failure]) -> T:
        """Ask until an account is let in; what passes by itself is tried again."""
        if request.resource is Resource.GRAPHQL:
            # REST takes over at once: a query that was too heavy costs extra points.
            return await self._ask_once(request, read)
        async for attempt in stamina.retry_context(
            on=_is_worth_a_retry, attempts=_ATTEMPTS, wait_initial=0.1, wait_max=0.5, timeout=None
        ):
            with attempt:
                return await self._ask_once(request, read)
        raise AssertionError  # pragma: no cover - the context either returns or raises

    async def _ask_once(self, request: _Request, read: Callable[[Reply], T | Failure]) -> T:
        failure = Failure(FailureKind.PRIMARY_LIMIT, "no account has anything left")
        untried = list(self._accounts)
        while account := choose(untried, request.resource, now=self._clock()):
            untried.remove(account)
            reply = await self._send(request, account)
            verdict = classify(reply, resource=request.resource, now=self._clock())
            answer = verdict or read(reply)
            if not isinstance(answer, Failure):
                account.note_success()
                return answer
            failure = answer
            account.note_failure(failure, request.resource, now=self._clock())
            if failure.kind not in _ANOTHER_MAY_PAY:
                break
            _log.warning("github.account_refused", account=account.name, reason=failure.kind)
        raise _Refused(failure, request.resource)

    async def _send(self, request: _Request, account: Account) -> Reply:
        try:
            with account.paying(request.resource):
                response = await self._http.request(
                    request.method,
                    request.url,
                    headers=_headers(request, account),
                    content=request.content,
                )
        except httpx2.HTTPError as error:
            failure = Failure(FailureKind.UNREACHABLE, type(error).__name__)
            raise _Refused(failure, request.resource) from error
        reply = Reply(response.status_code, response.headers, response.content)
        room = read_room(reply, resource=request.resource)
        if room is not None:
            account.note_room(room)
        _log.debug(
            "github.asked",
            resource=request.resource,
            account=account.name,
            status=reply.status,
            milliseconds=round(response.elapsed.total_seconds() * 1000),
        )
        return reply


def _headers(request: _Request, account: Account) -> dict[str, str]:
    headers = dict(_HEADERS)
    if request.content is not None:
        headers["content-type"] = "application/json"
    if account.token is not None:
        headers["authorization"] = f"Bearer {account.token.reveal()}"
    return headers


async def _complete(ask_once: Callable[[], Awaitable[Portfolio]]) -> Portfolio:
    """Ask once more for a list that is not as long as GitHub says; then take it."""
    portfolio = await ask_once()
    if _is_complete(portfolio):
        return portfolio
    # Nearly the whole list is worth more than none.
    with suppress(_Refused):
        portfolio = await ask_once()
    if not _is_complete(portfolio):
        _log.warning(
            "github.length_differs",
            owner=portfolio.owner.login,
            listed=len(portfolio.repositories),
            expected=portfolio.expected,
        )
    return portfolio


def _is_complete(portfolio: Portfolio) -> bool:
    return portfolio.expected in {None, len(portfolio.repositories)}


def _is_worth_a_retry(error: Exception) -> bool:
    return isinstance(error, _Refused) and error.failure.kind in _WORTH_A_RETRY


def _graphql_url(api_url: str) -> str:
    """Find GraphQL beside REST: an Enterprise Server has it at `/api/graphql`, not below `/api/v3`."""
    return api_url.removesuffix("/v3") + "/graphql"


@overload
async def _together(first: Awaitable[T], second: Awaitable[U], /) -> tuple[T, U]: ...
@overload
async def _together(*questions: Awaitable[T]) -> Sequence[T]: ...
async def _together(*questions: Awaitable[Any]) -> Sequence[Any]:
    """Wait for all answers; the first failure ends the other questions, before it is raised."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

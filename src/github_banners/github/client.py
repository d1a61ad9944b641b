"""
One owner in, every public repository out, for somebody who waits.

GraphQL where an account can pay for it, else REST; both give the same numbers. More than a hundred
repositories come from REST, whose pages can be asked for at once.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias, TypeVar, overload
from urllib.parse import quote

import httpx2
import structlog

from github_banners.errors import GitHubUnavailable
from github_banners.github import graphql, rest
from github_banners.github.credentials import Account, Budget, Priority
from github_banners.github.protocol import MAX_PAGES, Failure, FailureKind, GitHubResponse, Resource
from github_banners.github.sender import RETRYABLE, TRY_ANOTHER_ACCOUNT, RequestFailed, Sender
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock, Owner, OwnerRepositories, Repository, Stats

T = TypeVar("T")
U = TypeVar("U")
A = TypeVar("A", graphql.OwnerPage, rest.OwnerProfile)

OwnerPageResults: TypeAlias = list[graphql.OwnerPage | Failure] | Failure

_log = structlog.get_logger(__name__)

_MAX_PARALLEL_PAGES = 8
# A list can grow while it is read.
_MAX_EXTRA_PAGES = 3
_FALL_BACK_TO_REST = TRY_ANOTHER_ACCOUNT | RETRYABLE | {FailureKind.TOO_LARGE}


class GitHubClient:
    """Asks one GitHub about owners; `timeout` bounds a whole answer, all its pages included."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        *,
        api_url: str,
        accounts: list[Account],
        timeout: timedelta,
        clock: Clock,
        budget: Budget | None = None,
    ) -> None:
        self.sender = Sender(
            http,
            api_url=api_url,
            accounts=accounts,
            clock=clock,
            timeout=timeout,
            budget=budget,
        )
        self._timeout = timeout
        self._clock = clock
        self._throttle = LogThrottle(time.monotonic)

    async def fetch(self, login: str, *, is_known: bool = False) -> OwnerRepositories:
        """
        Ask about the present holder of a login; `is_known` if it has, or had, a holder here.

        :raises UnknownUser: GitHub knows nobody of this name
        :raises GitHubUnavailable: no whole answer can be had now
        """
        question = graphql.build_login_query([login])

        def read(reply: GitHubResponse) -> OwnerPageResults:
            return graphql.parse_owners_by_login(reply, question, now=self._clock())

        subject = _OwnerRequest(f"/users/{quote(login, safe='')}", question, read)
        priority = Priority.KNOWN if is_known else Priority.UNKNOWN
        return await self._with_public_errors(login, self._fetch(subject, priority))

    async def fetch_by_id(
        self,
        owner: Owner,
        *,
        previous: Stats | None = None,
        priority: Priority = Priority.KNOWN,
        failure: Failure | None = None,
    ) -> OwnerRepositories:
        """
        Ask about an owner seen before, whatever the login is now.

        Numbers that fall far below the `previous` ones, and an owner who is gone, are believed when
        both APIs say so. `failure` is what GraphQL has just said of the owner, where it was asked.

        :raises UnknownUser: the owner is gone
        :raises GitHubUnavailable: no whole answer can be had now
        """
        question = graphql.build_id_query([owner.node_id]) if owner.node_id else None

        def read(reply: GitHubResponse) -> OwnerPageResults:
            return graphql.parse_owners_by_id(reply, now=self._clock())

        subject = _OwnerRequest(f"/user/{owner.id}", question, read, owner_id=owner.id)
        fetching = self._fetch(subject, priority, previous=previous, failure=failure)
        return await self._with_public_errors(owner.login, fetching)

    async def _with_public_errors(
        self, name: str, fetching: Awaitable[OwnerRepositories]
    ) -> OwnerRepositories:
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await fetching
        except RequestFailed as refused:
            kind = refused.failure.kind
            if kind is not FailureKind.NOT_FOUND and self._throttle.allows((name, kind)):
                _log.warning("github.refused", owner=name, reason=str(refused))
            raise refused.to_public_error(name) from refused
        except TimeoutError as late:
            if self._throttle.allows((name, "timeout")):
                _log.warning("github.refused", owner=name, reason="timeout")
            raise GitHubUnavailable("GitHub did not respond in time") from late

    async def _fetch(
        self,
        owner_request: "_OwnerRequest",
        priority: Priority,
        *,
        previous: Stats | None = None,
        failure: Failure | None = None,
    ) -> OwnerRepositories:
        """Ask GraphQL where an account can pay for it, else or then REST."""
        may_pay = self.sender.remaining(Resource.GRAPHQL, priority=priority) > 0
        if failure is None and may_pay and owner_request.query is not None:
            try:
                portfolio = await self._by_graphql(owner_request, priority)
                if not has_fallen(portfolio, previous):
                    return portfolio
                failure = Failure(FailureKind.UNCONFIRMED, "the numbers have fallen")
            except RequestFailed as refused:
                failure = refused.failure
                if not _should_fall_back(failure, is_known=owner_request.owner_id is not None):
                    raise
        try:
            portfolio = await self._by_rest(owner_request, priority)
        except RequestFailed as refused:
            if refused.failure.kind is FailureKind.NOT_FOUND and not self._is_deletion_confirmed(
                owner_request, failure
            ):
                words = "REST alone says that the owner is gone"
                raise RequestFailed(Failure(FailureKind.UNCONFIRMED, words)) from refused
            raise
        is_confirmed = failure is not None and failure.kind is FailureKind.UNCONFIRMED
        # Where GraphQL had no say, REST is asked twice.
        if not is_confirmed and has_fallen(portfolio, previous):
            portfolio = await self._by_rest(owner_request, priority)
        return portfolio

    def _is_deletion_confirmed(
        self, owner_request: "_OwnerRequest", failure: Failure | None
    ) -> bool:
        """Return whether REST's 404 is to be believed: GraphQL says the same, or has no say."""
        if failure is not None:
            return failure.kind is FailureKind.NOT_FOUND
        has_no_say = owner_request.query is None or not self.sender.has_token()
        return owner_request.owner_id is None or has_no_say

    async def _by_graphql(
        self, owner_request: "_OwnerRequest", priority: Priority
    ) -> OwnerRepositories:
        asked_at = self._clock()
        body = owner_request.query.to_json() if owner_request.query is not None else b""

        async def ask_once() -> OwnerRepositories:
            request = self.sender.graphql_request(body)
            answer = await self.sender.send_with_failover(
                request, owner_request.parse_page, priority=priority
            )
            repositories = answer.repositories
            if answer.next_cursor is not None:
                path = f"/users/{quote(answer.owner.login, safe='')}"
                repositories = await self._fetch_pages(
                    path, [], priority, reported_count=answer.total
                )
            return OwnerRepositories(
                answer.owner, repositories, asked_at, reported_count=answer.total
            )

        # GraphQL leaves out what it may not resolve: REST has the rest of a list.
        return await self._refetch_if_incomplete(
            ask_once, partial(self._by_rest, owner_request, priority)
        )

    async def _by_rest(
        self, owner_request: "_OwnerRequest", priority: Priority
    ) -> OwnerRepositories:
        asked_at = self._clock()

        async def ask_once() -> OwnerRepositories:
            self._require_budget(1, priority)
            request = self.sender.rest_request(owner_request.path)
            answer, first = await _gather_or_cancel(
                self.sender.send_with_failover(
                    request, owner_request.parse_profile, priority=priority
                ),
                self._fetch_page(owner_request.path, 1, priority),
            )
            repositories = await self._fetch_pages(
                owner_request.path, [first], priority, reported_count=answer.public_repos
            )
            return OwnerRepositories(
                answer.owner, repositories, asked_at, reported_count=answer.public_repos
            )

        return await self._refetch_if_incomplete(ask_once, ask_once)

    async def _fetch_page(self, path: str, number: int, priority: Priority) -> rest.Page:
        query = f"type=owner&sort=full_name&per_page={rest.PAGE_SIZE}&page={number}"
        request = self.sender.rest_request(f"{path}/repos?{query}")
        return await self.sender.send_with_failover(
            request, partial(rest.parse_page, number=number), priority=priority
        )

    async def _fetch_pages(
        self, path: str, pages: list[rest.Page], priority: Priority, *, reported_count: int | None
    ) -> tuple[Repository, ...]:
        """
        Get the pages of a list that are missing, eight at a time.

        `expected` repositories are said to be there: a `Link` header is not believed far beyond that.
        """
        wanted = 1 if reported_count is None else max(1, math.ceil(reported_count / rest.PAGE_SIZE))
        most = MAX_PAGES if reported_count is None else min(wanted + _MAX_EXTRA_PAGES, MAX_PAGES)
        last = wanted if not pages else pages[0].last
        while (last := min(last, most)) > len(pages):
            self._require_budget(last - len(pages), priority)
            numbers = range(len(pages) + 1, min(last, len(pages) + _MAX_PARALLEL_PAGES) + 1)
            new = await _gather_or_cancel(
                *(self._fetch_page(path, number, priority) for number in numbers)
            )
            pages = [*pages, *new]
            last = max(last, *(page.last for page in new))
            if not any(page.repositories or page.unreadable for page in new):
                break
        self._log_unreadable(path, [page for page in pages if page.unreadable])
        return rest.merge_pages(pages)

    async def _refetch_if_incomplete(
        self,
        fetch: Callable[[], Awaitable[OwnerRepositories]],
        refetch: Callable[[], Awaitable[OwnerRepositories]],
    ) -> OwnerRepositories:
        """Ask once more for a list that is not as long as GitHub says; then take it."""
        portfolio = await fetch()
        if _is_complete(portfolio):
            return portfolio
        # Nearly the whole list is worth more than none.
        with suppress(RequestFailed):
            portfolio = await refetch()
        if not _is_complete(portfolio) and self._throttle.allows(portfolio.owner.id):
            _log.warning(
                "github.length_differs",
                owner=portfolio.owner.login,
                listed=len(portfolio.repositories),
                expected=portfolio.reported_count,
            )
        return portfolio

    def _log_unreadable(self, path: str, pages: Sequence[rest.Page]) -> None:
        if pages and self._throttle.allows(path):
            _log.warning(
                "github.repositories_unreadable",
                owner=path,
                number=sum(page.unreadable for page in pages),
                reason=pages[0].problem,
            )

    def _require_budget(self, request_count: int, priority: Priority) -> None:
        """Begin no walk that can't be ended: it would spend what is left for others on nothing."""
        if request_count > self.sender.remaining(Resource.CORE, priority=priority):
            words = f"not enough left for {request_count} questions"
            if priority.reserved_share:
                words += ": strangers leave a part to those who are known"
            raise RequestFailed(Failure(FailureKind.PRIMARY_LIMIT, words))


@dataclass(frozen=True, slots=True)
class _OwnerRequest:
    """
    Whom to ask about: REST's path, and GraphQL's question with its reader, where there is one.

    `owner_id` is the number that the answer must have, where it is known.
    """

    path: str
    query: graphql.Query | None
    parse: Callable[[GitHubResponse], OwnerPageResults]
    owner_id: int | None = None

    def parse_page(self, response: GitHubResponse) -> graphql.OwnerPage | Failure:
        answers = self.parse(response)
        if isinstance(answers, Failure):
            return answers
        answer = answers[0] if answers else Failure(FailureKind.UNREADABLE, "an empty answer")
        return ensure_owner(answer, self.owner_id)

    def parse_profile(self, response: GitHubResponse) -> rest.OwnerProfile | Failure:
        return ensure_owner(rest.parse_owner(response), self.owner_id)


def ensure_owner(result: A | Failure, owner_id: int | None) -> A | Failure:
    """Turn an answer about somebody else into a failure."""
    if isinstance(result, Failure) or owner_id in {None, result.owner.id}:
        return result
    return Failure(FailureKind.UNREADABLE, f"an answer about {result.owner.id}, not {owner_id}")


def has_fallen(portfolio: OwnerRepositories, previous: Stats | None) -> bool:
    """Return whether a number has fallen to zero or by more than half."""
    if previous is None:
        return False
    originals = [one for one in portfolio.repositories if not one.is_fork]
    pairs = (
        (previous.total_repos, len(portfolio.repositories)),
        (previous.original_repos, len(originals)),
        (previous.total_stars, sum(one.stars for one in originals)),
        (previous.total_forks, sum(one.forks for one in originals)),
    )
    return any(new * 2 < old for old, new in pairs)


def _should_fall_back(failure: Failure, *, is_known: bool) -> bool:
    # Nobody misses a stranger; an owner who vanishes must be gone from both APIs.
    is_missing = failure.kind is FailureKind.NOT_FOUND
    return (is_missing and is_known) or failure.kind in _FALL_BACK_TO_REST


def _is_complete(portfolio: OwnerRepositories) -> bool:
    return portfolio.reported_count in {None, len(portfolio.repositories)}


@overload
async def _gather_or_cancel(first: Awaitable[T], second: Awaitable[U], /) -> tuple[T, U]: ...
@overload
async def _gather_or_cancel(*questions: Awaitable[T]) -> Sequence[T]: ...
async def _gather_or_cancel(*questions: Awaitable[Any]) -> Sequence[Any]:
    """Wait for all answers; the first failure ends the other questions, before it is raised."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

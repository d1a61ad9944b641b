"""
Fetches one owner with all public repositories, for interactive requests.

GraphQL is used while an account has points for it, else REST; both give the same numbers. Lists of more
than a hundred repositories come from REST, whose pages can be requested in parallel.
"""

import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import TypeAlias, TypeVar
from urllib.parse import quote

import httpx2
import structlog

from github_banners.github import graphql, rest
from github_banners.github.credentials import Account, Budget, Priority
from github_banners.github.protocol import (
    MAX_PAGES,
    PAGE_SIZE,
    Failure,
    FailureKind,
    GitHubResponse,
    Resource,
)
from github_banners.github.sender import RequestFailed, Sender, should_fall_back, with_public_errors
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock, Owner, OwnerRepositories, Repository, Stats
from github_banners.tasks import gather_or_cancel

A = TypeVar("A", graphql.OwnerPage, rest.OwnerProfile)

OwnerPageResults: TypeAlias = list[graphql.OwnerPage | Failure] | Failure

_log = structlog.get_logger(__name__)

_MAX_PARALLEL_PAGES = 8
# A list can grow while its pages are fetched.
_MAX_EXTRA_PAGES = 3


class GitHubClient:
    """Fetches owners; `timeout` limits the whole fetch of an owner, including all pages."""

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
        self.timeout = timeout
        self.clock = clock
        self._throttle = LogThrottle(time.monotonic)

    async def fetch(self, login: str, *, is_known: bool = False) -> OwnerRepositories:
        """
        Fetch the current holder of a login; `is_known` if the login has, or had, a holder here.

        :raises UnknownUser: GitHub knows no account with this login
        :raises GitHubUnavailable: the owner can't be fetched completely
        """
        query = graphql.build_login_query([login])

        def parse(response: GitHubResponse) -> OwnerPageResults:
            return graphql.parse_owners_by_login(response, query, now=self.clock())

        owner_request = _OwnerRequest(f"/users/{quote(login, safe='')}", query, parse)
        priority = Priority.KNOWN_OWNER if is_known else Priority.UNKNOWN_LOGIN
        return await self._with_public_errors(self._fetch(owner_request, priority), login)

    async def fetch_by_id(
        self,
        owner: Owner,
        *,
        previous: Stats | None = None,
        priority: Priority = Priority.KNOWN_OWNER,
        failure: Failure | None = None,
    ) -> OwnerRepositories:
        """
        Fetch an owner seen before, whatever the login is now.

        Numbers far below the `previous` ones, and a deleted owner, have to be confirmed by both APIs.
        `failure` is GraphQL's result for this owner, if it has just been requested.

        :raises UnknownUser: the owner is deleted
        :raises GitHubUnavailable: the owner can't be fetched completely
        """
        query = graphql.build_id_query([owner.node_id]) if owner.node_id else None

        def parse(response: GitHubResponse) -> OwnerPageResults:
            return graphql.parse_owners_by_id(response, now=self.clock())

        owner_request = _OwnerRequest(f"/user/{owner.id}", query, parse, owner_id=owner.id)
        fetching = self._fetch(owner_request, priority, previous=previous, failure=failure)
        return await self._with_public_errors(fetching, owner.login)

    async def _with_public_errors(
        self, fetching: Awaitable[OwnerRepositories], name: str
    ) -> OwnerRepositories:
        return await with_public_errors(
            fetching, name=name, time_limit=self.timeout, throttle=self._throttle
        )

    async def _fetch(
        self,
        owner_request: "_OwnerRequest",
        priority: Priority,
        *,
        previous: Stats | None = None,
        failure: Failure | None = None,
    ) -> OwnerRepositories:
        """Fetch over GraphQL if an account has points for it; else, or if that fails, over REST."""
        has_points = self.sender.remaining(Resource.GRAPHQL, priority=priority) > 0
        if failure is None and has_points and owner_request.query is not None:
            try:
                result = await self._by_graphql(owner_request, priority)
                if not has_fallen(result, previous):
                    return result
                failure = Failure(FailureKind.UNCONFIRMED, "the numbers have fallen")
            except RequestFailed as error:
                failure = error.failure
                if not should_fall_back(failure, is_known=owner_request.owner_id is not None):
                    raise
        try:
            result = await self._by_rest(owner_request, priority)
        except RequestFailed as error:
            if error.failure.kind is FailureKind.NOT_FOUND and not self._is_deletion_confirmed(
                owner_request, failure
            ):
                message = "only REST reports that the owner is deleted"
                raise RequestFailed(Failure(FailureKind.UNCONFIRMED, message)) from error
            raise
        is_confirmed = failure is not None and failure.kind is FailureKind.UNCONFIRMED
        # Without GraphQL, a second response of REST has to confirm the fall.
        if not is_confirmed and has_fallen(result, previous):
            result = await self._by_rest(owner_request, priority)
        return result

    def _is_deletion_confirmed(
        self, owner_request: "_OwnerRequest", failure: Failure | None
    ) -> bool:
        """Return whether a 404 of REST is final: GraphQL reports the same, or is not available."""
        if failure is not None:
            return failure.kind is FailureKind.NOT_FOUND
        is_unavailable = owner_request.query is None or not self.sender.has_token()
        return owner_request.owner_id is None or is_unavailable

    async def _by_graphql(
        self, owner_request: "_OwnerRequest", priority: Priority
    ) -> OwnerRepositories:
        requested_at = self.clock()
        body = owner_request.query.to_json() if owner_request.query is not None else b""

        async def fetch_once() -> OwnerRepositories:
            request = self.sender.graphql_request(body)
            page = await self.sender.send_with_failover(
                request, owner_request.parse_page, priority=priority
            )
            repositories = page.repositories
            if page.next_cursor is not None:
                path = f"/users/{quote(page.owner.login, safe='')}"
                repositories = await self._fetch_pages(
                    path, [], priority, reported_count=page.total
                )
            return OwnerRepositories(
                page.owner,
                repositories,
                requested_at,
                reported_count=page.total,
                followers=page.followers,
            )

        # GraphQL omits repositories that it can't resolve: REST has the complete list.
        return await self._refetch_if_incomplete(
            fetch_once, partial(self._by_rest, owner_request, priority)
        )

    async def _by_rest(
        self, owner_request: "_OwnerRequest", priority: Priority
    ) -> OwnerRepositories:
        requested_at = self.clock()

        async def fetch_once() -> OwnerRepositories:
            self._require_budget(1, priority)
            request = self.sender.rest_request(owner_request.path)
            profile, first_page = await gather_or_cancel(
                self.sender.send_with_failover(
                    request, owner_request.parse_profile, priority=priority
                ),
                self._fetch_page(owner_request.path, 1, priority),
            )
            repositories = await self._fetch_pages(
                owner_request.path, [first_page], priority, reported_count=profile.public_repos
            )
            return OwnerRepositories(
                profile.owner,
                repositories,
                requested_at,
                reported_count=profile.public_repos,
                followers=profile.followers,
            )

        return await self._refetch_if_incomplete(fetch_once, fetch_once)

    async def _fetch_page(self, path: str, number: int, priority: Priority) -> rest.Page:
        query = f"type=owner&sort=full_name&per_page={PAGE_SIZE}&page={number}"
        request = self.sender.rest_request(f"{path}/repos?{query}")
        return await self.sender.send_with_failover(
            request, partial(rest.parse_page, number=number), priority=priority
        )

    async def _fetch_pages(
        self,
        path: str,
        first_pages: Sequence[rest.Page],
        priority: Priority,
        *,
        reported_count: int | None,
    ) -> tuple[Repository, ...]:
        """
        Fetch the missing pages of a list, up to eight at once, and return its repositories.

        The `Link` header may name only a few pages more than `reported_count` repositories fill.
        """
        expected_pages = (
            1 if reported_count is None else max(1, math.ceil(reported_count / PAGE_SIZE))
        )
        max_pages = (
            MAX_PAGES
            if reported_count is None
            else min(expected_pages + _MAX_EXTRA_PAGES, MAX_PAGES)
        )
        pages = list(first_pages)
        last = pages[0].last if pages else expected_pages
        while (last := min(last, max_pages)) > len(pages):
            self._require_budget(last - len(pages), priority)
            numbers = iter(range(len(pages) + 1, last + 1))
            fetched = await gather_or_cancel(
                *(
                    self._fetch_until_empty(path, numbers, priority)
                    for _ in range(min(_MAX_PARALLEL_PAGES, last - len(pages)))
                )
            )
            new_pages = sorted(chain.from_iterable(fetched), key=itemgetter(0))
            pages += [page for _, page in new_pages]
            last = max(last, *(page.last for page in pages))
            if next(numbers, None) is not None:
                break
        self._log_unreadable(path, [page for page in pages if page.unreadable])
        return rest.merge_pages(pages)

    async def _fetch_until_empty(
        self, path: str, numbers: Iterator[int], priority: Priority
    ) -> list[tuple[int, rest.Page]]:
        """Fetch pages one after another, and stop at an empty one; return them with their numbers."""
        pages = []
        for number in numbers:
            page = await self._fetch_page(path, number, priority)
            pages.append((number, page))
            if not page.repositories and not page.unreadable:
                break
        return pages

    async def _refetch_if_incomplete(
        self,
        fetch: Callable[[], Awaitable[OwnerRepositories]],
        refetch: Callable[[], Awaitable[OwnerRepositories]],
    ) -> OwnerRepositories:
        """Fetch again if a list is not as long as GitHub reports; accept the second result."""
        result = await fetch()
        if _is_complete(result):
            return result
        # An almost complete list is better than an error.
        with suppress(RequestFailed):
            result = await refetch()
        if not _is_complete(result) and self._throttle.allows(result.owner.id):
            _log.warning(
                "github.length_differs",
                owner=result.owner.login,
                listed=len(result.repositories),
                expected=result.reported_count,
            )
        return result

    def _log_unreadable(self, path: str, pages: Sequence[rest.Page]) -> None:
        if pages and self._throttle.allows(path):
            _log.warning(
                "github.repositories_unreadable",
                owner=path,
                number=sum(page.unreadable for page in pages),
                reason=pages[0].problem,
            )

    def _require_budget(self, request_count: int, priority: Priority) -> None:
        """Refuse to fetch pages if the rate limit does not cover all of them: the points would be wasted."""
        if request_count > self.sender.remaining(Resource.CORE, priority=priority):
            message = f"not enough points left for {request_count} requests"
            if priority.reserved_share:
                message += ": the rest is reserved for known users"
            raise RequestFailed(Failure(FailureKind.PRIMARY_LIMIT, message))


@dataclass(frozen=True, slots=True)
class _OwnerRequest:
    """
    The requests for one owner: REST path, and GraphQL query with its parser, if there is one.

    `owner_id` is the id that the response must have, if it is known.
    """

    path: str
    query: graphql.Query | None
    parse: Callable[[GitHubResponse], OwnerPageResults]
    owner_id: int | None = None

    def parse_page(self, response: GitHubResponse) -> graphql.OwnerPage | Failure:
        results = self.parse(response)
        if isinstance(results, Failure):
            return results
        result = results[0] if results else Failure(FailureKind.UNREADABLE, "an empty response")
        return ensure_owner(result, self.owner_id)

    def parse_profile(self, response: GitHubResponse) -> rest.OwnerProfile | Failure:
        return ensure_owner(rest.parse_owner(response), self.owner_id)


def ensure_owner(result: A | Failure, owner_id: int | None) -> A | Failure:
    """Return the result, or a failure if it is about another owner."""
    if isinstance(result, Failure) or owner_id in {None, result.owner.id}:
        return result
    return Failure(FailureKind.UNREADABLE, f"a response about {result.owner.id}, not {owner_id}")


def has_fallen(result: OwnerRepositories, previous: Stats | None) -> bool:
    """Return whether a number has fallen by more than half of its previous value."""
    if previous is None:
        return False
    originals = [repository for repository in result.repositories if not repository.is_fork]
    pairs = (
        (previous.total_repos, len(result.repositories)),
        (previous.original_repos, len(originals)),
        (previous.total_stars, sum(repository.stars for repository in originals)),
        (previous.total_forks, sum(repository.forks for repository in originals)),
    )
    return any(new * 2 < old for old, new in pairs)


def _is_complete(result: OwnerRepositories) -> bool:
    return result.reported_count in {None, len(result.repositories)}

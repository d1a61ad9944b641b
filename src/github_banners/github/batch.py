"""
Fetches many owners in one GraphQL request, for background work: twenty owners cost one point.

A request that is too heavy is split in halves until the owner that it fails on is alone. An owner that
GraphQL fails for is fetched like a single one: other accounts, REST, no token. Batches are not split
further once GraphQL has responded to no query of a half, and GitHub counts as down after a half, or three
consecutive owners, that REST fails for as well: an outage must not multiply requests. Further pages are
fetched by cursor, one after another, so that the REST limit is left to interactive requests.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

import asyncio
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeAlias

import structlog

from github_banners.errors import BannersError, GitHubUnavailable
from github_banners.github import graphql
from github_banners.github.client import GitHubClient, ensure_owner, has_fallen
from github_banners.github.credentials import Priority
from github_banners.github.protocol import (
    MAX_PAGES,
    PAGE_SIZE,
    Failure,
    FailureKind,
    GitHubResponse,
    Resource,
)
from github_banners.github.sender import RequestFailed
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock, Owner, OwnerRepositories, Stats

_log = structlog.get_logger(__name__)

_Results: TypeAlias = list[OwnerRepositories | BannersError]

_SPLIT_ON = {FailureKind.TOO_HEAVY, FailureKind.TOO_LARGE, FailureKind.UNREADABLE}
# GraphQL alone may be down: REST is worth a try. With other failures REST would fail as well, or its
# limit is left to interactive requests.
_GRAPHQL_IS_DOWN = {FailureKind.SERVER, FailureKind.FORBIDDEN, FailureKind.UNREACHABLE}
# After so many consecutive failures of single owners, GitHub is the cause and not the owners.
_MAX_CONSECUTIVE_FAILURES = 3
_PAGES_TIMEOUT_SECONDS = 60.0


class BatchFetcher:
    """Fetches owners seen before, within the rate limits that are left for `priority`."""

    def __init__(
        self, github: GitHubClient, *, clock: Clock, priority: Priority = Priority.BACKGROUND
    ) -> None:
        self._github = github
        self._sender = github.sender
        self._clock = clock
        self._priority = priority
        self._throttle = LogThrottle(time.monotonic)

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> _Results:
        """
        Fetch owners; return a result or an error for each, in their order.

        Numbers far below the `previous` ones (by owner id) are confirmed over REST.
        """
        previous = previous or {}
        if self._sender.remaining(Resource.GRAPHQL, priority=self._priority) <= 0:
            if self._sender.has_token():
                return [
                    GitHubUnavailable(
                        "the remaining rate limit is reserved for interactive requests"
                    )
                ] * len(owners)
            return await self._fetch_individually(owners, previous)
        # GraphQL needs the node id, which old rows may lack.
        batch = [owner for owner in owners if owner.node_id]
        fetched, _ = await self._fetch_batch(batch, previous) if batch else ([], False)
        results = dict(zip(batch, fetched, strict=True))
        singles = [owner for owner in owners if owner not in results]
        results |= zip(singles, await self._fetch_individually(singles, previous), strict=True)
        return [results[owner] for owner in owners]

    async def _fetch_batch(
        self,
        owners: Sequence[Owner],
        previous: Mapping[int, Stats],
        *,
        may_split: bool = True,
        is_rest_down: bool = False,
    ) -> tuple[_Results, bool]:
        """Return the results, and whether GraphQL responded to any of the queries."""
        requested_at = self._clock()
        query = graphql.build_id_query([owner.node_id or "" for owner in owners])
        parse = partial(_parse_all, number=len(owners), now=requested_at)
        try:
            pages = await self._sender.send_with_failover(
                self._sender.graphql_request(query.to_json()), parse, priority=self._priority
            )
        except RequestFailed as error:
            failure = error.failure
            if self._throttle.allows(failure.kind):
                _log.warning("github.batch_refused", owners=len(owners), reason=str(error))
            if may_split and failure.kind in _SPLIT_ON:
                return await self._fetch_halves(owners, previous, failure)
            may_use_rest = failure.kind in _SPLIT_ON and not is_rest_down
            if may_use_rest or failure.kind in _GRAPHQL_IS_DOWN:
                failures = dict.fromkeys([owner.id for owner in owners], failure)
                return await self._fetch_individually(owners, previous, failures), False
            return [error.to_public_error(owner.login) for owner in owners], False
        completing = (
            self._complete_owner(ensure_owner(page, owner.id), previous.get(owner.id), requested_at)
            for owner, page in zip(owners, pages, strict=True)
        )
        completed = dict(zip(owners, await asyncio.gather(*completing), strict=True))
        failures = {
            owner.id: result for owner, result in completed.items() if isinstance(result, Failure)
        }
        failed = [owner for owner in owners if owner.id in failures]
        retried = await self._fetch_individually(
            failed, previous, failures, may_be_down=len(failed) == len(owners)
        )
        retried_by_owner = dict(zip(failed, retried, strict=True))
        results = [
            retried_by_owner[owner] if isinstance(result, Failure) else result
            for owner, result in completed.items()
        ]
        return results, True

    async def _fetch_halves(
        self, owners: Sequence[Owner], previous: Mapping[int, Stats], failure: Failure
    ) -> tuple[_Results, bool]:
        if len(owners) == 1:
            results = await self._fetch_individually(owners, previous, {owners[0].id: failure})
            return results, False
        middle = len(owners) // 2
        first_half, has_responded = await self._fetch_batch(owners[:middle], previous)
        # Whatever failed for all of the first half is probably the cause, and not single owners.
        is_down = _all_unavailable(first_half)
        second_half, has_responded_later = await self._fetch_batch(
            owners[middle:],
            previous,
            may_split=has_responded and not is_down,
            is_rest_down=is_down,
        )
        return [*first_half, *second_half], has_responded or has_responded_later

    async def _complete_owner(
        self,
        first_page: graphql.OwnerPage | Failure,
        previous: Stats | None,
        requested_at: datetime,
    ) -> OwnerRepositories | Failure:
        """Fetch the remaining pages of an owner; on a failure the owner has to be fetched over REST."""
        if isinstance(first_page, Failure):
            return first_page
        try:
            async with asyncio.timeout(_PAGES_TIMEOUT_SECONDS):
                result = await self._fetch_remaining_pages(first_page, requested_at)
        except RequestFailed as error:
            return error.failure
        except TimeoutError:
            return Failure(FailureKind.TOO_HEAVY, "the pages took too long")
        if len(result.repositories) != result.reported_count:
            return Failure(FailureKind.UNCONFIRMED, "the list is not as long as reported")
        if has_fallen(result, previous):
            return Failure(FailureKind.UNCONFIRMED, "the numbers have fallen")
        return result

    async def _fetch_remaining_pages(
        self, first_page: graphql.OwnerPage, requested_at: datetime
    ) -> OwnerRepositories:
        """
        Follow the cursor to the end; a repository that appears twice counts once.

        Stops after as many pages as the total count fills, and at a repeated cursor.
        """
        by_id = {repository.id: repository for repository in first_page.repositories}
        cursor, seen_cursors = first_page.next_cursor, set[str]()
        for _ in range(min(math.ceil(first_page.total / PAGE_SIZE), MAX_PAGES)):
            if cursor is None or cursor in seen_cursors:
                break
            seen_cursors.add(cursor)
            query = graphql.build_page_query(first_page.owner.node_id or "", after=cursor)
            page = await self._sender.send_with_failover(
                self._sender.graphql_request(query.to_json()),
                partial(graphql.parse_repository_page, now=self._clock()),
                priority=self._priority,
            )
            by_id |= {repository.id: repository for repository in page.repositories}
            cursor = page.next_cursor
        return OwnerRepositories(
            first_page.owner,
            tuple(by_id.values()),
            requested_at,
            reported_count=first_page.total,
            followers=first_page.followers,
        )

    async def _fetch_individually(
        self,
        owners: Sequence[Owner],
        previous: Mapping[int, Stats],
        failures: Mapping[int, Failure] | None = None,
        *,
        may_be_down: bool = True,
    ) -> _Results:
        """
        Fetch each owner like an interactive request; `failures` are those of GraphQL, by owner id.

        If GitHub `may_be_down`, the rest is skipped after a few consecutive failures.
        """
        results: dict[int, OwnerRepositories | BannersError] = {}
        for owner in self._rotate(owners):
            latest = list(results.values())[-_MAX_CONSECUTIVE_FAILURES:]
            if (
                may_be_down
                and len(latest) == _MAX_CONSECUTIVE_FAILURES
                and _all_unavailable(latest)
            ):
                results[owner.id] = GitHubUnavailable("other owners could not be fetched either")
            else:
                failure = (failures or {}).get(owner.id)
                results[owner.id] = await self._fetch_single(owner, previous.get(owner.id), failure)
        return [results[owner.id] for owner in owners]

    async def _fetch_single(
        self, owner: Owner, previous: Stats | None, failure: Failure | None
    ) -> OwnerRepositories | BannersError:
        # Another account may be allowed to see this owner: try GraphQL again with all accounts.
        is_forbidden = failure is not None and failure.kind is FailureKind.FORBIDDEN
        if is_forbidden and not self._sender.has_single_token():
            failure = None
        try:
            return await self._github.fetch_by_id(
                owner, previous=previous, priority=self._priority, failure=failure
            )
        except BannersError as error:
            return error

    def _rotate(self, owners: Sequence[Owner]) -> list[Owner]:
        """Start with another owner each second, so that failing owners don't always skip the same ones."""
        start = int(self._clock().timestamp()) % max(1, len(owners))
        return [*owners[start:], *owners[:start]]


def _parse_all(
    response: GitHubResponse, *, number: int, now: datetime
) -> list[graphql.OwnerPage | Failure] | Failure:
    results = graphql.parse_owners_by_id(response, now=now)
    if not isinstance(results, Failure) and len(results) != number:
        return Failure(FailureKind.UNREADABLE, f"{len(results)} results for {number} owners")
    return results


def _all_unavailable(results: Iterable[OwnerRepositories | BannersError]) -> bool:
    """Return whether GitHub was unavailable for all owners."""
    return all(isinstance(result, GitHubUnavailable) for result in results)

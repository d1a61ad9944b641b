"""
Many owners in one question, for whom nobody waits: twenty cost one point.

A question that is too heavy is halved until the owner it fails on is alone. An owner that GraphQL fails
for goes the way of a single request: another account, REST, no token. Nothing is halved any more once
both halves fail, and after three owners in a row that REST can't tell of either, GitHub is down: it
must not be asked the more for it. Further pages are walked by cursor, one after another: REST's budget
stays with those who wait.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

import asyncio
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

import structlog

from github_banners.errors import BannersError, GitHubUnavailable
from github_banners.github import graphql
from github_banners.github.client import GitHubClient, ensure_owner, has_fallen
from github_banners.github.credentials import Priority
from github_banners.github.protocol import MAX_PAGES, Failure, FailureKind, GitHubResponse, Resource
from github_banners.github.rest import PAGE_SIZE
from github_banners.github.sender import RequestFailed
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock, Owner, OwnerRepositories, Stats

_log = structlog.get_logger(__name__)

_SPLIT_ON = {FailureKind.TOO_HEAVY, FailureKind.TOO_LARGE, FailureKind.UNREADABLE}
# GraphQL alone may be down. Where an account is limited or refused REST would not be let in either,
# and what is left of its budget is for those who wait.
_GRAPHQL_IS_DOWN = {FailureKind.SERVER, FailureKind.FORBIDDEN, FailureKind.UNREACHABLE}
# So many in a row that can't be asked alone: it is not them.
_MAX_CONSECUTIVE_FAILURES = 3
_PAGES_TIMEOUT_SECONDS = 60.0


class BatchFetcher:
    """Asks about owners seen before, on what `priority` leaves of the budgets."""

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
    ) -> list[OwnerRepositories | BannersError]:
        """
        Ask about owners; each gets an answer or its own error, in their order.

        Numbers that fall far below the `previous` ones, by owner's id, are confirmed over REST.
        """
        previous = previous or {}
        if self._sender.remaining(Resource.GRAPHQL, priority=self._priority) <= 0:
            if self._sender.has_token():
                return [GitHubUnavailable("the rest of the hour is for those who wait")] * len(
                    owners
                )
            return await self._fetch_individually(owners, previous)
        named = [owner for owner in owners if owner.node_id]
        found = dict(
            zip(named, await self._fetch_batch(named, previous) if named else [], strict=True)
        )
        unnamed = [owner for owner in owners if owner not in found]
        found |= zip(unnamed, await self._fetch_individually(unnamed, previous), strict=True)
        return [found[owner] for owner in owners]

    async def _fetch_batch(
        self, owners: Sequence[Owner], previous: Mapping[int, Stats], *, may_split: bool = True
    ) -> list[OwnerRepositories | BannersError]:
        asked_at = self._clock()
        question = graphql.build_id_query([owner.node_id or "" for owner in owners])
        read = partial(_parse_all, number=len(owners), now=asked_at)
        try:
            answers = await self._sender.send_with_failover(
                self._sender.graphql_request(question.to_json()), read, priority=self._priority
            )
        except RequestFailed as refused:
            failure = refused.failure
            if self._throttle.allows(failure.kind):
                _log.warning("github.batch_refused", owners=len(owners), reason=str(refused))
            if may_split and failure.kind in _SPLIT_ON:
                return await self._fetch_halves(owners, previous, failure)
            if failure.kind in _GRAPHQL_IS_DOWN:
                failures = dict.fromkeys([owner.id for owner in owners], failure)
                return await self._fetch_individually(owners, previous, failures)
            return [refused.to_public_error(owner.login) for owner in owners]
        finishing = (
            self._complete_owner(ensure_owner(answer, owner.id), previous.get(owner.id), asked_at)
            for owner, answer in zip(owners, answers, strict=True)
        )
        finished = dict(zip(owners, await asyncio.gather(*finishing), strict=True))
        failures = {o.id: answer for o, answer in finished.items() if isinstance(answer, Failure)}
        alone = [owner for owner in owners if owner.id in failures]
        single = await self._fetch_individually(
            alone, previous, failures, may_be_down=len(alone) == len(owners)
        )
        answered = dict(zip(alone, single, strict=True))
        return [
            answered[owner] if isinstance(answer, Failure) else answer
            for owner, answer in finished.items()
        ]

    async def _fetch_halves(
        self, owners: Sequence[Owner], previous: Mapping[int, Stats], failure: Failure
    ) -> list[OwnerRepositories | BannersError]:
        if len(owners) == 1:
            return await self._fetch_individually(owners, previous, {owners[0].id: failure})
        middle = len(owners) // 2
        first = await self._fetch_batch(owners[:middle], previous)
        may_halve = not _all_unavailable(first)
        return [*first, *await self._fetch_batch(owners[middle:], previous, may_split=may_halve)]

    async def _complete_owner(
        self,
        first_page: graphql.OwnerPage | Failure,
        previous: Stats | None,
        requested_at: datetime,
    ) -> OwnerRepositories | Failure:
        """Complete one owner's list; a failure is what REST has to be asked for."""
        if isinstance(first_page, Failure):
            return first_page
        try:
            async with asyncio.timeout(_PAGES_TIMEOUT_SECONDS):
                portfolio = await self._fetch_remaining_pages(first_page, requested_at)
        except RequestFailed as refused:
            return refused.failure
        except TimeoutError:
            return Failure(FailureKind.TOO_HEAVY, "the pages take too long")
        if len(portfolio.repositories) != portfolio.reported_count:
            return Failure(FailureKind.UNCONFIRMED, "the list is not as long as it should be")
        if has_fallen(portfolio, previous):
            return Failure(FailureKind.UNCONFIRMED, "the numbers have fallen")
        return portfolio

    async def _fetch_remaining_pages(
        self, first_page: graphql.OwnerPage, requested_at: datetime
    ) -> OwnerRepositories:
        """
        Follow the cursor to the end; a repository that comes twice counts once.

        There are no more pages than the length of the list says, and no cursor comes twice.
        """
        found = {repository.id: repository for repository in first_page.repositories}
        cursor, seen = first_page.next_cursor, set[str]()
        for _ in range(min(math.ceil(first_page.total / PAGE_SIZE), MAX_PAGES)):
            if cursor is None or cursor in seen:
                break
            seen.add(cursor)
            question = graphql.build_page_query(first_page.owner.node_id or "", after=cursor)
            page = await self._sender.send_with_failover(
                self._sender.graphql_request(question.to_json()),
                partial(graphql.parse_repository_page, now=self._clock()),
                priority=self._priority,
            )
            found |= {repository.id: repository for repository in page.repositories}
            cursor = page.next_cursor
        return OwnerRepositories(
            first_page.owner, tuple(found.values()), requested_at, reported_count=first_page.total
        )

    async def _fetch_individually(
        self,
        owners: Sequence[Owner],
        previous: Mapping[int, Stats],
        failures: Mapping[int, Failure] | None = None,
        *,
        may_be_down: bool = True,
    ) -> list[OwnerRepositories | BannersError]:
        """
        Ask about each owner as a single request would; `failures` are GraphQL's, by owner's id.

        Where GitHub `may_be_down`, a few failures in a row spare the others.
        """
        answers: dict[int, OwnerRepositories | BannersError] = {}
        for owner in self._rotate(owners):
            last = list(answers.values())[-_MAX_CONSECUTIVE_FAILURES:]
            if may_be_down and len(last) == _MAX_CONSECUTIVE_FAILURES and _all_unavailable(last):
                answers[owner.id] = GitHubUnavailable("the others could not be asked either")
            else:
                failure = (failures or {}).get(owner.id)
                answers[owner.id] = await self._fetch_single(owner, previous.get(owner.id), failure)
        return [answers[owner.id] for owner in owners]

    async def _fetch_single(
        self, owner: Owner, previous: Stats | None, failure: Failure | None
    ) -> OwnerRepositories | BannersError:
        # Another account may be allowed to see what this one is not.
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
        """Begin with another owner each second, so that the same few don't always spare the rest."""
        start = int(self._clock().timestamp()) % max(1, len(owners))
        return [*owners[start:], *owners[:start]]


def _parse_all(
    response: GitHubResponse, *, number: int, now: datetime
) -> list[graphql.OwnerPage | Failure] | Failure:
    answers = graphql.parse_owners_by_id(response, now=now)
    if not isinstance(answers, Failure) and len(answers) != number:
        return Failure(FailureKind.UNREADABLE, f"{len(answers)} answers about {number} owners")
    return answers


def _all_unavailable(results: Iterable[OwnerRepositories | BannersError]) -> bool:
    """Tell whether GitHub could be asked about none of them."""
    return all(isinstance(answer, GitHubUnavailable) for answer in results)

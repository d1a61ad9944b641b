"""
Many owners in one question, for the background: twenty cost one point.

A question that is too heavy is halved until the owner it fails on is alone. Nothing is halved any more
once both halves fail: GitHub is away then, and must not be asked the more for it. Further pages are
walked by cursor, one after another: nobody waits, and REST's budget stays with those who do.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from github_banners.errors import BannersError, GitHubUnavailable
from github_banners.github import graphql
from github_banners.github.client import GitHub
from github_banners.github.protocol import Failure, FailureKind, Resource
from github_banners.github.sender import Refused
from github_banners.model import Clock, Owner, Portfolio

_HALVE = {FailureKind.TOO_HEAVY, FailureKind.UNREADABLE}
# Without a token the background leaves people half of the sixty questions an hour.
_REST_RESERVE = 30
# So many in a row that can't be asked alone: it is not them.
_ENOUGH_FAILURES = 3


class Batch:
    """Asks about owners seen before, on what people leave of the budgets."""

    def __init__(self, github: GitHub, *, clock: Clock) -> None:
        self._github = github
        self._sender = github.sender
        self._clock = clock

    async def fetch_many(self, owners: Sequence[Owner]) -> list[Portfolio | BannersError]:
        """Ask about owners; each gets an answer or its own error, in their order."""
        named = [owner for owner in owners if owner.node_id]
        if not named or self._sender.room(Resource.GRAPHQL) == 0:
            return await self._one_by_one(owners)
        found = dict(zip(named, await self._ask(named), strict=True))
        unnamed = [owner for owner in owners if owner not in found]
        found |= zip(unnamed, await self._one_by_one(unnamed), strict=True)
        return [found[owner] for owner in owners]

    async def _ask(
        self, owners: Sequence[Owner], *, may_halve: bool = True
    ) -> list[Portfolio | BannersError]:
        asked_at = self._clock()
        question = graphql.ask_by_id([owner.node_id or "" for owner in owners])
        read = partial(graphql.read_by_id, now=asked_at)
        try:
            answers = await self._sender.ask(self._sender.query(question.to_json()), read)
        except Refused as refused:
            if may_halve and refused.failure.kind in _HALVE:
                return await self._ask_smaller(owners)
            return [refused.explain(owner.login) for owner in owners]
        if len(answers) != len(owners):
            return [GitHubUnavailable("an answer of another length")] * len(owners)
        return list(
            await asyncio.gather(
                *(self._finish(*pair, asked_at) for pair in zip(owners, answers, strict=True))
            )
        )

    async def _ask_smaller(self, owners: Sequence[Owner]) -> list[Portfolio | BannersError]:
        if len(owners) == 1:
            # By number, which is for REST: GraphQL has just failed.
            return [await self._fetch_one(replace(owners[0], node_id=None))]
        middle = len(owners) // 2
        first = await self._ask(owners[:middle])
        return [*first, *await self._ask(owners[middle:], may_halve=not _are_away(first))]

    async def _finish(
        self, owner: Owner, answer: graphql.OwnerAnswer | Failure, asked_at: datetime
    ) -> Portfolio | BannersError:
        try:
            if isinstance(answer, Failure):
                raise Refused(answer)  # noqa: TRY301
            portfolio = await self._walk(answer, asked_at)
        except Refused as refused:
            return refused.explain(owner.login)
        if len(portfolio.repositories) == portfolio.expected:
            return portfolio
        return await self._fetch_one(owner)

    async def _walk(self, answer: graphql.OwnerAnswer, asked_at: datetime) -> Portfolio:
        """Follow the cursor to the end; a repository that comes twice counts once."""
        found = {one.id: one for one in answer.repositories}
        cursor = answer.next_cursor
        while cursor is not None:
            question = graphql.ask_page(answer.owner.node_id or "", after=cursor)
            read = partial(graphql.read_page, now=self._clock())
            page = await self._sender.ask(self._sender.query(question.to_json()), read)
            found |= {one.id: one for one in page.repositories}
            cursor = page.next_cursor
        return Portfolio(answer.owner, tuple(found.values()), asked_at, expected=answer.total)

    async def _one_by_one(self, owners: Sequence[Owner]) -> list[Portfolio | BannersError]:
        answers: list[Portfolio | BannersError] = []
        for owner in owners:
            last = answers[-_ENOUGH_FAILURES:]
            if len(last) == _ENOUGH_FAILURES and _are_away(last):
                answers.append(GitHubUnavailable("the others could not be asked either"))
            else:
                answers.append(await self._fetch_one(owner))
        return answers

    async def _fetch_one(self, owner: Owner) -> Portfolio | BannersError:
        if self._sender.room(Resource.CORE) <= _REST_RESERVE:
            return GitHubUnavailable("what is left is for people")
        try:
            return await self._github.fetch_again(owner)
        except BannersError as error:
            return error


def _are_away(answers: Iterable[Portfolio | BannersError]) -> bool:
    """Tell whether GitHub could be asked about none of them."""
    return all(isinstance(answer, GitHubUnavailable) for answer in answers)

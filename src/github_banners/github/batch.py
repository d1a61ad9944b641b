"""
Many owners in one question, for the background: twenty cost one point.

A question that is too heavy is halved until the owner it fails on is alone. Further pages are walked
by cursor, one after another: nobody waits, and REST's budget stays with those who do.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from github_banners.errors import BannersError, GitHubUnavailable
from github_banners.github import graphql
from github_banners.github.client import GitHub
from github_banners.github.protocol import Failure, FailureKind, Resource
from github_banners.github.sender import Refused
from github_banners.model import Clock, Owner, Portfolio

_HALVE = {FailureKind.TOO_HEAVY, FailureKind.UNREADABLE}
# Without a token the background leaves people half of the sixty questions an hour.
_REST_RESERVE = 30


class Batch:
    """Asks about owners seen before, on what people leave of the budgets."""

    def __init__(self, github: GitHub, *, clock: Clock) -> None:
        self._github = github
        self._sender = github.sender
        self._clock = clock

    async def fetch_many(self, owners: Sequence[Owner]) -> list[Portfolio | BannersError]:
        """Ask about owners; each gets an answer or its own error, in their order."""
        if self._sender.room(Resource.GRAPHQL) == 0:
            return [await self._fetch_one(owner) for owner in owners]
        named = [owner for owner in owners if owner.node_id]
        found = dict(zip(named, await self._ask(named), strict=True)) if named else {}
        return [found.get(owner) or await self._fetch_one(owner) for owner in owners]

    async def _ask(self, owners: Sequence[Owner]) -> list[Portfolio | BannersError]:
        asked_at = self._clock()
        question = graphql.ask_by_id([owner.node_id or "" for owner in owners])
        read = partial(graphql.read_by_id, now=asked_at)
        try:
            answers = await self._sender.ask(self._sender.query(question.to_json()), read)
        except Refused as refused:
            return await self._ask_smaller(owners, refused)
        if len(answers) != len(owners):
            return [GitHubUnavailable("an answer of another length")] * len(owners)
        return list(
            await asyncio.gather(
                *(self._finish(*pair, asked_at) for pair in zip(owners, answers, strict=True))
            )
        )

    async def _ask_smaller(
        self, owners: Sequence[Owner], refused: Refused
    ) -> list[Portfolio | BannersError]:
        if refused.failure.kind not in _HALVE:
            return [refused.explain(owner.login) for owner in owners]
        if len(owners) == 1:
            return [await self._fetch_one(owners[0])]
        middle = len(owners) // 2
        return [*await self._ask(owners[:middle]), *await self._ask(owners[middle:])]

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

    async def _fetch_one(self, owner: Owner) -> Portfolio | BannersError:
        if self._sender.room(Resource.CORE) <= _REST_RESERVE:
            return GitHubUnavailable("what is left is for people")
        try:
            return await self._github.fetch_again(owner)
        except BannersError as error:
            return error

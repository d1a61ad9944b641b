"""
One owner in, every public repository out, for somebody who waits.

GraphQL where an account can pay for it, else REST; both give the same numbers. More than a hundred
repositories come from REST, whose pages can be asked for at once.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias, TypeVar, overload
from urllib.parse import quote

import httpx2
import structlog

from github_banners.errors import GitHubUnavailable
from github_banners.github import graphql, rest
from github_banners.github.accounts import Account
from github_banners.github.protocol import Failure, FailureKind, Reply, Resource
from github_banners.github.sender import ANOTHER_MAY_PAY, WORTH_A_RETRY, Refused, Sender
from github_banners.model import Clock, Owner, Portfolio, Repository

T = TypeVar("T")
U = TypeVar("U")

Answers: TypeAlias = list[graphql.OwnerAnswer | Failure] | Failure

_log = structlog.get_logger(__name__)

_PARALLEL_PAGES = 8
# Invented names must not spend what those need who have banners.
_KEPT_FROM_STRANGERS = 0.1
_REST_MAY_HELP = ANOTHER_MAY_PAY | WORTH_A_RETRY


class GitHub:
    """Asks one GitHub about owners; `timeout` bounds a whole answer, all its pages included."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        *,
        api_url: str,
        accounts: list[Account],
        timeout: timedelta,
        clock: Clock,
    ) -> None:
        self.sender = Sender(http, api_url=api_url, accounts=accounts, clock=clock)
        self._timeout = timeout
        self._clock = clock

    async def fetch(self, login: str, *, is_known: bool = False) -> Portfolio:
        """
        Ask about the present holder of a login; `is_known` if it has, or had, a holder here.

        :raises UnknownUser: GitHub knows nobody of this name
        :raises GitHubUnavailable: no whole answer can be had now
        """
        question = graphql.ask_by_login([login])

        def read(reply: Reply) -> Answers:
            return graphql.read_by_login(reply, question, now=self._clock())

        path = f"/users/{quote(login, safe='')}"
        kept_share = 0.0 if is_known else _KEPT_FROM_STRANGERS
        return await self._fetch(login, path, question, read, kept_share=kept_share)

    async def fetch_again(self, owner: Owner) -> Portfolio:
        """
        Ask about an owner seen before, whatever the login is now.

        :raises UnknownUser: the owner is gone
        :raises GitHubUnavailable: no whole answer can be had now
        """
        question = graphql.ask_by_id([owner.node_id]) if owner.node_id else None

        def read(reply: Reply) -> Answers:
            return graphql.read_by_id(reply, now=self._clock())

        return await self._fetch(owner.login, f"/user/{owner.id}", question, read)

    async def _fetch(
        self,
        name: str,
        path: str,
        question: graphql.Question | None,
        read: Callable[[Reply], Answers],
        *,
        kept_share: float = 0.0,
    ) -> Portfolio:
        asked_at = self._clock()
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                room = self.sender.room(Resource.GRAPHQL, kept_share=kept_share)
                if question is None or room <= 0:
                    return await self._by_rest(path, asked_at, kept_share)
                return await self._by_graphql(path, question, read, asked_at, kept_share)
        except Refused as refused:
            if refused.failure.kind is not FailureKind.NOT_FOUND:
                _log.warning("github.refused", owner=name, reason=str(refused))
            raise refused.explain(name) from refused
        except TimeoutError as late:
            _log.warning("github.refused", owner=name, reason="timeout")
            raise GitHubUnavailable from late

    async def _by_graphql(
        self,
        path: str,
        question: graphql.Question,
        read: Callable[[Reply], Answers],
        asked_at: datetime,
        kept_share: float,
    ) -> Portfolio:
        def read_one(reply: Reply) -> graphql.OwnerAnswer | Failure:
            answers = read(reply)
            if isinstance(answers, Failure):
                return answers
            return answers[0] if answers else Failure(FailureKind.UNREADABLE, "an empty answer")

        async def ask_once() -> Portfolio:
            answer = await self.sender.ask(self.sender.query(question.to_json()), read_one)
            repositories = answer.repositories
            if answer.next_cursor is not None:
                base = f"/users/{quote(answer.owner.login, safe='')}"
                repositories = await self._pages(base, kept_share, at_least=answer.total)
            return Portfolio(answer.owner, repositories, asked_at, expected=answer.total)

        try:
            # GraphQL leaves out what it may not resolve: REST has the rest of a list.
            return await _complete(ask_once, partial(self._by_rest, path, asked_at, kept_share))
        except Refused as refused:
            if refused.failure.kind not in _REST_MAY_HELP:
                raise
            return await self._by_rest(path, asked_at, kept_share)

    async def _by_rest(self, path: str, asked_at: datetime, kept_share: float) -> Portfolio:
        async def ask_once() -> Portfolio:
            self._afford(1, kept_share)
            answer, repositories = await _together(
                self.sender.ask(self.sender.get(path), rest.read_owner),
                self._pages(path, kept_share),
            )
            return Portfolio(answer.owner, repositories, asked_at, expected=answer.public_repos)

        return await _complete(ask_once, ask_once)

    async def _pages(
        self, path: str, kept_share: float, *, at_least: int = 0
    ) -> tuple[Repository, ...]:
        """Get every page of a list; `at_least` repositories are known to be there."""
        gate = asyncio.Semaphore(_PARALLEL_PAGES)

        async def get(number: int) -> rest.Page:
            query = f"type=owner&sort=full_name&per_page={rest.PAGE_SIZE}&page={number}"
            async with gate:
                return await self.sender.ask(
                    self.sender.get(f"{path}/repos?{query}"), partial(rest.read_page, number=number)
                )

        wanted = max(1, math.ceil(at_least / rest.PAGE_SIZE))
        self._afford(wanted, kept_share)
        pages = list(await _together(*map(get, range(1, wanted + 1))))
        while (last := max(page.last for page in pages)) > len(pages):
            self._afford(last - len(pages), kept_share)
            pages += await _together(*map(get, range(len(pages) + 1, last + 1)))
        return rest.merge(pages)

    def _afford(self, questions: int, kept_share: float) -> None:
        """Begin no walk that can't be ended: it would spend what is left for others on nothing."""
        if questions > self.sender.room(Resource.CORE, kept_share=kept_share):
            words = f"not enough left for {questions} questions"
            if kept_share:
                words += ": strangers leave a part to those who are known"
            raise Refused(Failure(FailureKind.PRIMARY_LIMIT, words))


async def _complete(
    ask: Callable[[], Awaitable[Portfolio]], ask_again: Callable[[], Awaitable[Portfolio]]
) -> Portfolio:
    """Ask once more for a list that is not as long as GitHub says; then take it."""
    portfolio = await ask()
    if _is_complete(portfolio):
        return portfolio
    # Nearly the whole list is worth more than none.
    with suppress(Refused):
        portfolio = await ask_again()
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

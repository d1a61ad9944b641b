"""
The desk where every question to the sandbox's GitHub is answered and paid for.

Knows who asks, what they have left and what they have seen already; routes only bring it paths.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import count

import msgspec

from github_sandbox import answers
from github_sandbox.answers import Answer, Packed, Refusal
from github_sandbox.bodies import repository_bodies, user_body
from github_sandbox.faults import Faults, Schedule
from github_sandbox.graphql import GraphQL, Question, Refused
from github_sandbox.limits import Allowance, Budgets, Payer, Resource, Tokens
from github_sandbox.listing import Listing, link_header, page_of, select
from github_sandbox.nouns import Account
from github_sandbox.population import Population

_REMEMBERED_PAGES = 256

Clock = Callable[[], datetime]


class Calls(msgspec.Struct):
    """What has been asked so far, and what it has cost."""

    rest: int = 0
    graphql: int = 0
    rest_points: int = 0
    graphql_points: int = 0
    not_modified: int = 0
    failed: int = 0


class Caller(msgspec.Struct, frozen=True):
    """Who asks, and in which words; `base` is our own address as they know it."""

    payer: Payer
    base: str
    request_id: str
    authorization: str = ""
    accept: str = ""
    if_none_match: str = ""
    takes_gzip: bool = False
    is_limited: bool = False
    is_given_up: bool = False


class Desk:
    """Everything that requests share."""

    def __init__(
        self,
        population: Population,
        *,
        tokens: Tokens,
        budgets: Budgets,
        faults: Faults,
        clock: Clock,
    ) -> None:
        self.population = population
        self.schedule = Schedule(faults)
        self.calls = Calls()
        self.now = clock
        self.tokens = tokens
        self._budgets = budgets
        self._graphql = GraphQL(population)
        self._numbers = count(1)
        self._page = lru_cache(_REMEMBERED_PAGES)(self._pack_page)

    def next_request_id(self) -> str:
        """Make up the id of a request, in GitHub's way."""
        number = next(self._numbers)
        return f"5A2D:{number % 0x10000:04X}:{number:X}:{number * 2:X}:{int(self._seconds()):X}"

    def allowance(self, payer: Payer, resource: Resource) -> Allowance:
        """Look at what a payer has left."""
        return self._budgets.allowance(payer, resource, now=self._seconds())

    def profile(self, caller: Caller, account: Account | None) -> Answer:
        """Answer who somebody is."""
        if account is None:
            return self._pay_for_nothing(caller)
        return self.reply(caller, answers.pack(user_body(account, base=caller.base)))

    def repositories(
        self, caller: Caller, account: Account | None, wish: Listing, query: Mapping[str, str]
    ) -> Answer:
        """Answer one page of somebody's repositories."""
        if account is None:
            return self._pay_for_nothing(caller)
        total, packed = self._page(self.population.generation, account.id, wish, caller.base)
        kind = "organizations" if wish.of_organization else "user"
        address = f"{caller.base}/{kind}/{account.id}/repos"
        return self.reply(caller, packed, link=link_header(address, query, total=total, wish=wish))

    def rate_limit(self, caller: Caller) -> Answer:
        """Answer what is left; costs nothing."""
        core, graphql = (self.allowance(caller.payer, one) for one in Resource)
        body = msgspec.json.encode({"resources": {"core": core, "graphql": graphql}, "rate": core})
        return Answer(200, body, self._headers(caller, Resource.CORE))

    def graphql(self, caller: Caller, body: bytes) -> Answer:
        """Answer a GraphQL question."""
        if (account_id := caller.payer.account_id) is None:
            raise Refusal(self._exhausted(caller, Resource.GRAPHQL))
        viewer = self.population.keeper(account_id, now=self.now())

        def spend(points: int) -> Allowance | None:
            return (
                None if caller.is_limited else self._spend(caller.payer, Resource.GRAPHQL, points)
            )

        try:
            answer = self._graphql.answer(
                _question(body),
                viewer=viewer,
                spend=spend,
                give_up=caller.is_given_up,
            )
        except Refused as refused:
            answer = {"errors": refused.errors}
        return self._whole(caller, answers.pack(answer), self._headers(caller, Resource.GRAPHQL))

    def reply(self, caller: Caller, packed: Packed, *, link: str | None = None) -> Answer:
        """
        Send a body, or 304 to whom has it already; take a point, but none for a 304 with a token.

        :raises Refusal: there are no points left
        """
        etag = answers.etag_of(packed, accept=caller.accept, authorization=caller.authorization)
        is_known = answers.matches(etag, caller.if_none_match)
        self._take(caller, 0 if is_known and caller.payer.account_id is not None else 1)
        headers = {**self._headers(caller, Resource.CORE), "etag": etag, **_CACHING}
        if link is not None:
            headers["link"] = link
        if is_known:
            self.calls.not_modified += 1
            return Answer(304, b"", headers)
        return self._whole(caller, packed, headers)

    def _pay_for_nothing(self, caller: Caller) -> Answer:
        self._take(caller, 1)
        missing = answers.not_found()
        return Answer(missing.status, missing.body, self._headers(caller, Resource.CORE))

    def _take(self, caller: Caller, points: int) -> None:
        """Take REST points; even what is free is refused when nothing is left."""
        has_some = self.allowance(caller.payer, Resource.CORE).remaining > 0
        if caller.is_limited or not has_some:
            raise Refusal(self._exhausted(caller, Resource.CORE))
        self._spend(caller.payer, Resource.CORE, points)

    def _spend(self, payer: Payer, resource: Resource, points: int) -> Allowance | None:
        if not self._budgets.spend(payer, resource, points, now=self._seconds()):
            return None
        if resource is Resource.CORE:
            self.calls.rest_points += points
        else:
            self.calls.graphql_points += points
        return self.allowance(payer, resource)

    def _exhausted(self, caller: Caller, resource: Resource) -> Answer:
        headers = self._headers(caller, resource) | {"x-ratelimit-remaining": "0"}
        is_anonymous = caller.payer.account_id is None
        return answers.exhausted(str(caller.payer), is_anonymous=is_anonymous, headers=headers)

    def _whole(self, caller: Caller, packed: Packed, headers: Mapping[str, str]) -> Answer:
        if caller.takes_gzip:
            return Answer(200, packed.gzipped, {**headers, "content-encoding": "gzip"})
        return Answer(200, packed.plain(), headers)

    def _headers(self, caller: Caller, resource: Resource) -> dict[str, str]:
        left = self.allowance(caller.payer, resource)
        return {**left.headers(), "x-github-request-id": caller.request_id, **_ALWAYS}

    def _pack_page(
        self, generation: int, account_id: int, wish: Listing, base: str
    ) -> tuple[int, Packed]:
        """Pack a page; `generation` only keeps pages of before a change apart."""
        account = self.population.by_id(account_id)
        assert account is not None
        chosen = select(account, wish)
        bodies = repository_bodies(account, page_of(chosen, wish), base=base)
        return len(chosen), answers.pack(bodies)

    def _seconds(self) -> float:
        return self.now().timestamp()


_ALWAYS = {
    "x-github-media-type": "github.v3; format=json",
    "access-control-allow-origin": "*",
    "vary": "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding",
}
_CACHING = {"cache-control": "private, max-age=60, s-maxage=60"}


def _question(body: bytes) -> Question:
    try:
        return msgspec.json.decode(body, type=Question)
    except msgspec.ValidationError as error:
        message = "A query attribute must be specified and must be a string."
        raise Refused([{"message": message}]) from error
    except msgspec.DecodeError as error:
        raise Refusal(answers.said(400, "Problems parsing JSON")) from error

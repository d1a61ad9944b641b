"""
The only sender: puts a question on the wire, with a key whose account may pay, until it is answered.

It knows no owner and no repository: what a good answer is, the caller's reader says.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import httpx2
import stamina
import structlog

from github_banners import __version__
from github_banners.errors import GitHubUnavailable, UnknownUser
from github_banners.github.accounts import (
    Account,
    Key,
    choose,
    note_failure,
    note_success,
    spoken_of,
)
from github_banners.github.protocol import (
    API_VERSION,
    Failure,
    FailureKind,
    Reply,
    Resource,
    classify,
    read_room,
)
from github_banners.model import Clock

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_ATTEMPTS = 3
_CONNECT_SECONDS = 2.0
_MOVED = {301, 302, 307, 308}
_MOST_MOVES = 3
_HEADERS = {
    "accept": "application/vnd.github+json",
    "user-agent": f"github-banners/{__version__}",
}
# An organisation may forbid a kind of token, and show the same in public to whoever has none.
ANOTHER_MAY_PAY = {
    FailureKind.PRIMARY_LIMIT,
    FailureKind.SECONDARY_LIMIT,
    FailureKind.BAD_TOKEN,
    FailureKind.SUSPENDED,
    FailureKind.FORBIDDEN,
}
WORTH_A_RETRY = {
    FailureKind.SERVER,
    FailureKind.TOO_HEAVY,
    FailureKind.UNREADABLE,
    FailureKind.UNREACHABLE,
}


class Refused(Exception):
    """GitHub's answer was no answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure

    def explain(self, name: str) -> UnknownUser | GitHubUnavailable:
        """Say in our own words what it means for whoever was asked about."""
        if self.failure.kind is FailureKind.NOT_FOUND:
            return UnknownUser(name)
        return GitHubUnavailable(str(self))


@dataclass(frozen=True, slots=True)
class Request:
    """A question on the wire; `resource` is the budget that pays for it."""

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


class Sender:
    """Sends questions to one GitHub; the accounts take turns."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        *,
        api_url: str,
        accounts: list[Account],
        clock: Clock,
    ) -> None:
        self._http = http
        self._api_url = api_url
        self._accounts = accounts
        self._clock = clock

    @property
    def accounts(self) -> list[Account]:
        """Give those who pay; the list changes when two turn out to be one."""
        return self._accounts

    def room(self, resource: Resource, *, kept_share: float = 0.0) -> int:
        """
        Count what the account that would pay next has left; 0 when nobody can pay.

        Below 0 where a part of its hour, 0 to 1, is kept for others and less than that is left.
        """
        now = self._clock()
        key = choose(self._accounts, resource, now=now)
        if key is None:
            return 0
        kept = int(kept_share * key.account.limit(resource))
        return key.account.room(resource, now=now) - kept

    def get(self, path: str) -> Request:
        """Make a question to REST."""
        return Request("GET", self._api_url + path, Resource.CORE)

    def query(self, body: bytes) -> Request:
        """Make a question to GraphQL, which an Enterprise Server has beside `/api/v3`."""
        url = self._api_url.removesuffix("/v3") + "/graphql"
        return Request("POST", url, Resource.GRAPHQL, body)

    async def ask(self, request: Request, read: Callable[[Reply], T | Failure]) -> T:
        """
        Ask until an account is let in; what passes by itself is tried again.

        :raises Refused: nobody was let in, or it did not pass
        """
        if request.resource is Resource.GRAPHQL:
            # REST takes over at once: a query that was too heavy costs extra points.
            return await self._ask_once(request, read)
        async for attempt in stamina.retry_context(
            on=_is_worth_a_retry, attempts=_ATTEMPTS, wait_initial=0.1, wait_max=0.5, timeout=None
        ):
            with attempt:
                return await self._ask_once(request, read)
        raise AssertionError  # pragma: no cover - the context either returns or raises

    async def ask_as(self, key: Key, request: Request, read: Callable[[Reply], T | Failure]) -> T:
        """
        Ask once with this key, whoever else could pay.

        :raises Refused: it was not let in, or there was no answer
        """
        answer = await self._try(request, key, read)
        if isinstance(answer, Failure):
            raise Refused(answer)
        return answer

    async def _ask_once(self, request: Request, read: Callable[[Reply], T | Failure]) -> T:
        failure = Failure(FailureKind.PRIMARY_LIMIT, "no account has anything left")
        tried: list[Key] = []
        while key := choose(self._accounts, request.resource, now=self._clock(), without=tried):
            answer = await self._try(request, key, read)
            if not isinstance(answer, Failure):
                return answer
            failure = answer
            if failure.kind not in ANOTHER_MAY_PAY:
                break
            tried += spoken_of(key, failure)
        raise Refused(failure)

    async def _try(
        self, request: Request, key: Key, read: Callable[[Reply], T | Failure]
    ) -> T | Failure:
        reply = await self._send(request, key)
        resource, now = request.resource, self._clock()
        answer = classify(reply, resource=resource, now=now) or read(reply)
        if not isinstance(answer, Failure):
            note_success(key, resource, now=now)
            return answer
        note_failure(self._accounts, key, answer, resource, now=now)
        if answer.kind in ANOTHER_MAY_PAY:
            _log.warning("github.account_refused", account=key.name, reason=answer.kind)
        return answer

    async def _send(self, request: Request, key: Key) -> Reply:
        """Send a question, and send it anew to where the answer has moved."""
        reply = await self._send_once(request, key)
        for _ in range(_MOST_MOVES):
            url = moved_to(request, reply)
            if url is None:
                break
            request = replace(request, url=url)
            reply = await self._send_once(request, key)
        return reply

    async def _send_once(self, request: Request, key: Key) -> Reply:
        try:
            with key.paying(request.resource):
                response = await self._http.request(
                    request.method,
                    request.url,
                    headers=self._headers(request, key),
                    content=request.content,
                )
        except httpx2.HTTPError as error:
            raise Refused(Failure(FailureKind.UNREACHABLE, type(error).__name__)) from error
        reply = Reply(response.status_code, response.headers, response.content)
        room = read_room(reply, resource=request.resource)
        if room is not None:
            key.account.note_room(room)
        _log.debug(
            "github.asked",
            resource=request.resource,
            account=key.name,
            status=reply.status,
            milliseconds=round(response.elapsed.total_seconds() * 1000),
        )
        return reply

    def _headers(self, request: Request, key: Key) -> dict[str, str]:
        headers = dict(_HEADERS)
        # An older Enterprise Server refuses a version that it does not know.
        if not self._api_url.endswith("/v3"):
            headers["x-github-api-version"] = API_VERSION
        if request.content is not None:
            headers["content-type"] = "application/json"
        if key.token is not None:
            headers["authorization"] = f"Bearer {key.token.reveal()}"
        return headers


def moved_to(request: Request, reply: Reply) -> str | None:
    """
    Read where the answer to a question to REST has moved.

    None if nowhere, or out of the origin that was asked: no other may see a token.
    https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
    """
    if request.method != "GET" or reply.status not in _MOVED or "location" not in reply.headers:
        return None
    asked = httpx2.URL(request.url)
    try:
        # Read by whoever will send it, so that both mean the same host.
        target = asked.join(reply.headers["location"])
    except httpx2.InvalidURL:
        return None
    is_same_origin = (target.scheme, target.host, target.port) == (
        asked.scheme,
        asked.host,
        asked.port,
    )
    return str(target) if is_same_origin and not target.userinfo else None


def _is_worth_a_retry(error: Exception) -> bool:
    return isinstance(error, Refused) and error.failure.kind in WORTH_A_RETRY

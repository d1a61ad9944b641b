"""
The only sender: puts a question on the wire, with a key whose account may pay, until it is answered.

It knows no owner and no repository: what a good answer is, the caller's reader says.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

import httpx2
import stamina
import structlog

from github_banners import __version__
from github_banners.errors import GitHubUnavailable, UnknownUser
from github_banners.github.accounts import (
    Account,
    Budget,
    Key,
    OwnBudget,
    Priority,
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
from github_banners.github.transport import (
    UnreadableBody,
    describe_error,
    make_large_response_slots,
    read_body,
)
from github_banners.log_throttle import LogThrottle
from github_banners.model import Clock

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_ATTEMPTS = 3
_MOVED = {301, 302, 307, 308}
_MOST_MOVES = 3
_HEADERS = {
    "accept": "application/vnd.github+json",
    "accept-encoding": "gzip",
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


class Sender:
    """Sends questions to one GitHub; the accounts take turns. `timeout` bounds a whole response."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        *,
        api_url: str,
        accounts: list[Account],
        clock: Clock,
        timeout: timedelta = timedelta(seconds=10),
        budget: Budget | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._api_url = api_url
        self._accounts = accounts
        self._clock = clock
        self._timeout = timeout
        self._budget = budget or OwnBudget()
        self._monotonic = monotonic
        self._sleep = sleep
        self._large_responses = make_large_response_slots()
        self._throttle = LogThrottle(monotonic)

    @property
    def accounts(self) -> list[Account]:
        """Give those who pay; the list changes when two turn out to be one."""
        return self._accounts

    def room(self, resource: Resource, *, priority: Priority = Priority.KNOWN) -> int:
        """
        Count what the account that would pay next has left for a priority.

        0 or less when nobody can pay, or when the rest is for others.
        """
        now = self._clock()
        key = choose(self._accounts, resource, now=now, priority=priority)
        if key is None:
            return 0
        return key.account.room(resource, now=now) - key.account.reserve(resource, priority)

    def has_token(self) -> bool:
        """Return whether there is a token that GitHub does not refuse."""
        now = self._clock()
        keys = (key for account in self._accounts for key in account.keys)
        return any(key.token is not None and not key.rests(now=now) for key in keys)

    def has_single_token(self) -> bool:
        """Return whether all tokens belong to one account."""
        return sum(not account.is_anonymous for account in self._accounts) == 1

    def get(self, path: str) -> Request:
        """Make a question to REST."""
        return Request("GET", self._api_url + path, Resource.CORE)

    def query(self, body: bytes) -> Request:
        """Make a question to GraphQL, which an Enterprise Server has beside `/api/v3`."""
        url = self._api_url.removesuffix("/v3") + "/graphql"
        return Request("POST", url, Resource.GRAPHQL, body)

    async def ask(
        self,
        request: Request,
        read: Callable[[Reply], T | Failure],
        *,
        priority: Priority = Priority.KNOWN,
    ) -> T:
        """
        Ask until an account is let in; what passes by itself is tried again.

        :raises Refused: nobody was let in, or it did not pass
        """
        if request.resource is Resource.GRAPHQL:
            # REST takes over at once: a query that was too heavy costs extra points.
            return await self._ask_once(request, read, priority)
        async for attempt in stamina.retry_context(
            on=_is_worth_a_retry, attempts=_ATTEMPTS, wait_initial=0.1, wait_max=0.5, timeout=None
        ):
            with attempt:
                return await self._ask_once(request, read, priority)
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

    async def _ask_once(
        self, request: Request, read: Callable[[Reply], T | Failure], priority: Priority
    ) -> T:
        failure = Failure(FailureKind.PRIMARY_LIMIT, "no account has anything left")
        resource, tried = request.resource, list[Key]()
        while key := await self._choose(resource, priority, tried):
            account = key.account
            if not await self._budget.reserve(account, resource, priority):
                tried += account.keys
                continue
            try:
                answer = await self._try(request, key, read)
            finally:
                self._budget.settle(account, resource)
            if not isinstance(answer, Failure):
                return answer
            failure = answer
            if failure.kind not in ANOTHER_MAY_PAY:
                break
            tried += spoken_of(key, failure)
        raise Refused(failure)

    async def _choose(
        self, resource: Resource, priority: Priority, tried: Sequence[Key]
    ) -> Key | None:
        """Choose who pays; what nobody waits for waits until GitHub has worked less for an account."""
        is_paced = priority is Priority.BACKGROUND and resource is Resource.GRAPHQL
        while True:
            now, pauses = self._monotonic(), dict[Key, float]()
            for account in self._accounts if is_paced else ():
                if pause := account.pace.pause_seconds(now, sharers=account.sharers):
                    pauses |= dict.fromkeys(account.keys, pause)
            choose_from = partial(
                choose, self._accounts, resource, now=self._clock(), priority=priority
            )
            key = choose_from(without=[*tried, *pauses])
            if key is not None or choose_from(without=tried) is None:
                return key
            await self._sleep(min(pauses.values()))

    async def _try(
        self, request: Request, key: Key, read: Callable[[Reply], T | Failure]
    ) -> T | Failure:
        reply = await self._send(request, key)
        resource, now = request.resource, self._clock()
        failure = classify(reply, resource=resource, now=now)
        answer = failure if failure is not None else self._read(reply, read)
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

    def _read(self, reply: Reply, read: Callable[[Reply], T | Failure]) -> T | Failure:
        """Read a response; whatever a reader raises, it concerns this response alone."""
        try:
            return read(reply)
        except Exception as error:  # noqa: BLE001 - no data may end what reads it
            reason = type(error).__name__
            if self._throttle.allows(("reader", reason)):
                _log.exception("github.reader_failed")
            return Failure(FailureKind.UNREADABLE, f"the reader failed: {reason}")

    async def _send_once(self, request: Request, key: Key) -> Reply:
        begun_at, room = self._monotonic(), None
        try:
            with key.paying(request.resource), key.account.pace.measure(self._monotonic):
                # The client's own time-out is for each piece: a trickle would never end.
                async with asyncio.timeout(self._timeout.total_seconds()):
                    reply = await self._exchange(request, key)
            room = read_room(reply, resource=request.resource, now=self._clock())
        except UnreadableBody as error:
            raise Refused(Failure(FailureKind.UNREADABLE, str(error))) from error
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            host = httpx2.URL(request.url).host
            reason = describe_error(error, host=host)
            raise Refused(Failure(FailureKind.UNREACHABLE, reason)) from error
        finally:
            if room is not None:
                key.account.note_room(room)
            self._budget.observe(key.account, request.resource, room)
        _log.debug(
            "github.asked",
            resource=request.resource,
            account=key.name,
            status=reply.status,
            milliseconds=round((self._monotonic() - begun_at) * 1000),
        )
        return reply

    async def _exchange(self, request: Request, key: Key) -> Reply:
        async with self._http.stream(
            request.method,
            request.url,
            headers=self._headers(request, key),
            content=request.content,
        ) as response:
            body = await read_body(response, large_responses=self._large_responses)
        return Reply(response.status_code, response.headers, body)

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

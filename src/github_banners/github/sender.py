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
from github_banners.github.credentials import (
    Account,
    Budget,
    Credential,
    LocalBudget,
    Priority,
    affected_credentials,
    record_failure,
    record_success,
    select_credential,
)
from github_banners.github.protocol import (
    API_VERSION,
    Failure,
    FailureKind,
    GitHubResponse,
    Resource,
    classify,
    parse_rate_limit,
)
from github_banners.github.transport import (
    TooLargeBody,
    UnreadableBody,
    describe_error,
    make_large_response_slots,
    read_body,
)
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_MAX_ATTEMPTS = 3
_REDIRECT_STATUSES = {301, 302, 307, 308}
_MAX_REDIRECTS = 3
_HEADERS = {
    "accept": "application/vnd.github+json",
    "accept-encoding": "gzip",
    "user-agent": f"github-banners/{__version__}",
}
# An organisation may forbid a kind of token, and show the same in public to whoever has none.
TRY_ANOTHER_ACCOUNT = {
    FailureKind.PRIMARY_LIMIT,
    FailureKind.SECONDARY_LIMIT,
    FailureKind.BAD_TOKEN,
    FailureKind.SUSPENDED,
    FailureKind.FORBIDDEN,
}
RETRYABLE = {
    FailureKind.SERVER,
    FailureKind.TOO_HEAVY,
    FailureKind.UNREADABLE,
    FailureKind.UNREACHABLE,
}


class RequestFailed(Exception):
    """GitHub's answer was no answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure

    def to_public_error(self, login: str) -> UnknownUser | GitHubUnavailable:
        """Say in our own words what it means for whoever was asked about."""
        if self.failure.kind is FailureKind.NOT_FOUND:
            return UnknownUser(login)
        return GitHubUnavailable(str(self))


@dataclass(frozen=True, slots=True)
class GitHubRequest:
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
        self._budget = budget or LocalBudget()
        self._monotonic = monotonic
        self._sleep = sleep
        self._large_responses = make_large_response_slots()
        self._throttle = LogThrottle(monotonic)

    @property
    def accounts(self) -> list[Account]:
        """Give those who pay; the list changes when two turn out to be one."""
        return self._accounts

    def remaining(self, resource: Resource, *, priority: Priority = Priority.KNOWN) -> int:
        """
        Count what the account that would pay next has left for a priority.

        0 or less when nobody can pay, or when the rest is for others.
        """
        now = self._clock()
        key = select_credential(self._accounts, resource, now=now, priority=priority)
        if key is None:
            return 0
        return key.account.remaining(resource, now=now) - key.account.reserved_points(
            resource, priority
        )

    def has_token(self) -> bool:
        """Return whether there is a token that GitHub does not refuse."""
        now = self._clock()
        keys = (key for account in self._accounts for key in account.credentials)
        return any(key.token is not None and not key.is_cooling_down(now=now) for key in keys)

    def has_single_token(self) -> bool:
        """Return whether all tokens belong to one account."""
        return sum(not account.is_anonymous for account in self._accounts) == 1

    def rest_request(self, path: str) -> GitHubRequest:
        """Make a question to REST."""
        return GitHubRequest("GET", self._api_url + path, Resource.CORE)

    def graphql_request(self, body: bytes) -> GitHubRequest:
        """Make a question to GraphQL, which an Enterprise Server has beside `/api/v3`."""
        url = self._api_url.removesuffix("/v3") + "/graphql"
        return GitHubRequest("POST", url, Resource.GRAPHQL, body)

    async def send_with_failover(
        self,
        request: GitHubRequest,
        parse: Callable[[GitHubResponse], T | Failure],
        *,
        priority: Priority = Priority.KNOWN,
    ) -> T:
        """
        Ask until an account is let in; what passes by itself is tried again.

        :raises RequestFailed: nobody was let in, or it did not pass
        """
        if request.resource is Resource.GRAPHQL:
            # REST takes over at once: a query that was too heavy costs extra points.
            return await self._try_accounts(request, parse, priority)
        async for attempt in stamina.retry_context(
            on=_is_retryable, attempts=_MAX_ATTEMPTS, wait_initial=0.1, wait_max=0.5, timeout=None
        ):
            with attempt:
                return await self._try_accounts(request, parse, priority)
        raise AssertionError  # pragma: no cover - the context either returns or raises

    async def send_as(
        self,
        credential: Credential,
        request: GitHubRequest,
        parse: Callable[[GitHubResponse], T | Failure],
    ) -> T:
        """
        Ask once with this key, whoever else could pay.

        :raises RequestFailed: it was not let in, or there was no answer
        """
        answer = await self._send_and_classify(request, credential, parse)
        if isinstance(answer, Failure):
            raise RequestFailed(answer)
        return answer

    async def _try_accounts(
        self,
        request: GitHubRequest,
        parse: Callable[[GitHubResponse], T | Failure],
        priority: Priority,
    ) -> T:
        failure = Failure(FailureKind.PRIMARY_LIMIT, "no account has anything left")
        resource, tried = request.resource, list[Credential]()
        while key := await self._select_credential(resource, priority, tried):
            account = key.account
            if not await self._budget.reserve(account, resource, priority):
                tried += account.credentials
                continue
            try:
                answer = await self._send_and_classify(request, key, parse)
            finally:
                self._budget.mark_spent(account, resource)
            if not isinstance(answer, Failure):
                return answer
            failure = answer
            if failure.kind not in TRY_ANOTHER_ACCOUNT:
                break
            tried += affected_credentials(key, failure)
        raise RequestFailed(failure)

    async def _select_credential(
        self, resource: Resource, priority: Priority, tried: Sequence[Credential]
    ) -> Credential | None:
        """Choose who pays; what nobody waits for waits until GitHub has worked less for an account."""
        is_paced = priority is Priority.BACKGROUND and resource is Resource.GRAPHQL
        while True:
            now, pauses = self._monotonic(), dict[Credential, float]()
            for account in self._accounts if is_paced else ():
                if pause := account.pace.pause_seconds(now, process_count=account.process_count):
                    pauses |= dict.fromkeys(account.credentials, pause)
            choose_from = partial(
                select_credential, self._accounts, resource, now=self._clock(), priority=priority
            )
            key = choose_from(without=[*tried, *pauses])
            if key is not None or choose_from(without=tried) is None:
                return key
            await self._sleep(min(pauses.values()))

    async def _send_and_classify(
        self,
        request: GitHubRequest,
        credential: Credential,
        parse: Callable[[GitHubResponse], T | Failure],
    ) -> T | Failure:
        reply = await self._send(request, credential)
        resource, now = request.resource, self._clock()
        failure = classify(reply, resource=resource, now=now)
        answer = failure if failure is not None else self._parse(reply, parse)
        if not isinstance(answer, Failure):
            record_success(credential, resource, now=now)
            return answer
        record_failure(self._accounts, credential, answer, resource, now=now)
        if answer.kind in TRY_ANOTHER_ACCOUNT:
            _log.warning("github.account_refused", account=credential.name, reason=answer.kind)
        return answer

    async def _send(self, request: GitHubRequest, credential: Credential) -> GitHubResponse:
        """Send a question, and send it anew to where the answer has moved."""
        reply = await self._send_once(request, credential)
        for _ in range(_MAX_REDIRECTS):
            url = redirect_target(request, reply)
            if url is None:
                break
            request = replace(request, url=url)
            reply = await self._send_once(request, credential)
        return reply

    def _parse(
        self, response: GitHubResponse, parse: Callable[[GitHubResponse], T | Failure]
    ) -> T | Failure:
        """Read a response; whatever a reader raises, it concerns this response alone."""
        try:
            return parse(response)
        except Exception as error:  # noqa: BLE001 - no data may end what reads it
            reason = type(error).__name__
            if self._throttle.allows(("reader", reason)):
                _log.exception("github.reader_failed")
            return Failure(FailureKind.UNREADABLE, f"the reader failed: {reason}")

    async def _send_once(self, request: GitHubRequest, credential: Credential) -> GitHubResponse:
        begun_at, room = self._monotonic(), None
        try:
            with (
                credential.track_in_flight(request.resource),
                credential.account.pace.measure(self._monotonic),
            ):
                # The client's own time-out is for each piece: a trickle would never end.
                async with asyncio.timeout(self._timeout.total_seconds()):
                    reply = await self._exchange(request, credential)
            room = parse_rate_limit(reply, resource=request.resource, now=self._clock())
        except TooLargeBody as error:
            raise RequestFailed(Failure(FailureKind.TOO_LARGE, str(error))) from error
        except UnreadableBody as error:
            raise RequestFailed(Failure(FailureKind.UNREADABLE, str(error))) from error
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            host = httpx2.URL(request.url).host
            reason = describe_error(error, host=host)
            raise RequestFailed(Failure(FailureKind.UNREACHABLE, reason)) from error
        finally:
            if room is not None:
                credential.account.update_rate_limit(room)
            self._budget.observe(credential.account, request.resource, room)
        _log.debug(
            "github.asked",
            resource=request.resource,
            account=credential.name,
            status=reply.status,
            milliseconds=round((self._monotonic() - begun_at) * 1000),
        )
        return reply

    async def _exchange(self, request: GitHubRequest, credential: Credential) -> GitHubResponse:
        async with self._http.stream(
            request.method,
            request.url,
            headers=self._headers(request, credential),
            content=request.content,
        ) as response:
            body = await read_body(response, large_responses=self._large_responses)
        return GitHubResponse(response.status_code, response.headers, body)

    def _headers(self, request: GitHubRequest, credential: Credential) -> dict[str, str]:
        headers = dict(_HEADERS)
        # An older Enterprise Server refuses a version that it does not know.
        if not self._api_url.endswith("/v3"):
            headers["x-github-api-version"] = API_VERSION
        if request.content is not None:
            headers["content-type"] = "application/json"
        if credential.token is not None:
            headers["authorization"] = f"Bearer {credential.token.reveal()}"
        return headers


def redirect_target(request: GitHubRequest, response: GitHubResponse) -> str | None:
    """
    Read where the answer to a question to REST has moved.

    None if nowhere, or out of the origin that was asked: no other may see a token.
    https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
    """
    if (
        request.method != "GET"
        or response.status not in _REDIRECT_STATUSES
        or "location" not in response.headers
    ):
        return None
    asked = httpx2.URL(request.url)
    try:
        # Read by whoever will send it, so that both mean the same host.
        target = asked.join(response.headers["location"])
    except httpx2.InvalidURL:
        return None
    is_same_origin = (target.scheme, target.host, target.port) == (
        asked.scheme,
        asked.host,
        asked.port,
    )
    return str(target) if is_same_origin and not target.userinfo else None


def _is_retryable(error: Exception) -> bool:
    return isinstance(error, RequestFailed) and error.failure.kind in RETRYABLE

"""
Sends requests to GitHub: selects a credential, fails over to other accounts, retries, follows redirects.

This is the only module that sends. It knows nothing of owners and repositories: callers pass a `parse`
function, which returns the parsed response or a `Failure`. `with_public_errors` limits the time of a fetch,
which is one or many requests for one owner, and turns its failure into an error that clients may see.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

import httpx2
import stamina
import structlog

from github_banners import __version__
from github_banners.cache import Memo
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
    GitHubRequest,
    GitHubResponse,
    Resource,
    classify,
    parse_rate_limit,
    shorten,
)
from github_banners.github.transport import describe_error, redirect_target
from github_banners.http_client import TooLargeBody, UnreadableBody, read_body
from github_banners.log_throttle import LogThrottle
from github_banners.models import Clock

T = TypeVar("T")

MAX_RESPONSE_BYTES = 16 << 20
"""Limit of a response, compressed and decompressed; a hundred repositories are half a megabyte."""

_log = structlog.get_logger(__name__)

_MAX_LARGE_RESPONSES = 2
_MAX_ATTEMPTS = 3
_MAX_REDIRECTS = 3
_HEADERS = {
    "accept": "application/vnd.github+json",
    "accept-encoding": "gzip",
    "user-agent": f"github-banners/{__version__}",
}
# FORBIDDEN: an organisation may forbid a kind of token, and show the same data without one.
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
_FALL_BACK_TO_REST = TRY_ANOTHER_ACCOUNT | RETRYABLE | {FailureKind.TOO_LARGE}


class RequestFailed(Exception):
    """GitHub refused a request or could not be reached; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure

    @property
    def is_too_heavy(self) -> bool:
        """Whether a smaller query may succeed: GitHub gave up, or did not respond in time."""
        is_timeout = isinstance(self.__cause__, TimeoutError | httpx2.ReadTimeout)
        return is_timeout or self.failure.kind is FailureKind.TOO_HEAVY

    def to_public_error(self, login: str) -> UnknownUser | GitHubUnavailable:
        """Convert the failure to the public error about an owner."""
        if self.failure.kind is FailureKind.NOT_FOUND:
            return UnknownUser(login)
        return GitHubUnavailable(str(self))


class Sender:
    """Sends requests to one GitHub with several accounts; `timeout` limits a whole response."""

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
        self._large_responses = asyncio.Semaphore(_MAX_LARGE_RESPONSES)
        self._throttle = LogThrottle(monotonic)
        self._headers: Memo[Credential, dict[str, str]] = Memo(self._build_headers)

    @property
    def accounts(self) -> list[Account]:
        """The accounts; the list shrinks when two of them turn out to be the same."""
        return self._accounts

    def remaining(self, resource: Resource, *, priority: Priority = Priority.KNOWN_OWNER) -> int:
        """
        Return the points that the account used next has left for a priority.

        0 or less if no account is usable, or if the rest is reserved for higher priorities.
        """
        now = self._clock()
        credential = select_credential(self._accounts, resource, now=now, priority=priority)
        if credential is None:
            return 0
        return credential.account.remaining(resource, now=now) - credential.account.reserved_points(
            resource, priority
        )

    def has_token(self) -> bool:
        """Return whether there is a token that GitHub has not rejected."""
        now = self._clock()
        credentials = (
            credential for account in self._accounts for credential in account.credentials
        )
        return any(
            credential.token is not None and not credential.is_cooling_down(now=now)
            for credential in credentials
        )

    def has_single_token(self) -> bool:
        """Return whether all tokens belong to one account."""
        return sum(not account.is_anonymous for account in self._accounts) == 1

    def rest_request(self, path: str) -> GitHubRequest:
        """Build a request to the REST API."""
        return GitHubRequest("GET", self._api_url + path, Resource.CORE)

    def graphql_request(self, body: bytes) -> GitHubRequest:
        """Build a request to GraphQL; an Enterprise Server has it at `/api/graphql`."""
        url = self._api_url.removesuffix("/v3") + "/graphql"
        return GitHubRequest("POST", url, Resource.GRAPHQL, body)

    async def send_with_failover(
        self,
        request: GitHubRequest,
        parse: Callable[[GitHubResponse], T | Failure],
        *,
        priority: Priority = Priority.KNOWN_OWNER,
    ) -> T:
        """
        Try accounts until one succeeds; retry transient failures.

        :raises RequestFailed: no account succeeded, or the last retry failed
        """
        if request.resource is Resource.GRAPHQL:
            # GraphQL is not retried: callers fall back to REST, and a query that was too heavy costs
            # extra points.
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
        Send a request once with this credential.

        :raises RequestFailed: it was refused, or GitHub could not be reached
        """
        result = await self._send_and_classify(request, credential, parse)
        if isinstance(result, Failure):
            raise RequestFailed(result)
        return result

    async def _try_accounts(
        self,
        request: GitHubRequest,
        parse: Callable[[GitHubResponse], T | Failure],
        priority: Priority,
    ) -> T:
        failure = Failure(FailureKind.PRIMARY_LIMIT, "no account has points left")
        resource, tried = request.resource, list[Credential]()
        while credential := await self._select_credential(resource, priority, tried):
            account = credential.account
            if not await self._budget.reserve(account, resource, priority):
                tried += account.credentials
                continue
            try:
                result = await self._send_and_classify(request, credential, parse)
            finally:
                self._budget.mark_spent(account, resource)
            if not isinstance(result, Failure):
                return result
            failure = result
            if failure.kind not in TRY_ANOTHER_ACCOUNT:
                break
            tried += affected_credentials(credential, failure)
        raise RequestFailed(failure)

    async def _select_credential(
        self, resource: Resource, priority: Priority, tried: Sequence[Credential]
    ) -> Credential | None:
        """Select a credential; background GraphQL requests wait until an account's pace allows one."""
        is_paced = priority is Priority.BACKGROUND and resource is Resource.GRAPHQL
        while True:
            now, pauses = self._monotonic(), dict[Credential, float]()
            for account in self._accounts if is_paced else ():
                if pause := account.pace.pause_seconds(now, process_count=account.process_count):
                    pauses |= dict.fromkeys(account.credentials, pause)
            select = partial(
                select_credential, self._accounts, resource, now=self._clock(), priority=priority
            )
            credential = select(without=[*tried, *pauses])
            if credential is not None or select(without=tried) is None:
                return credential
            await self._sleep(min(pauses.values()))

    async def _send_and_classify(
        self,
        request: GitHubRequest,
        credential: Credential,
        parse: Callable[[GitHubResponse], T | Failure],
    ) -> T | Failure:
        response = await self._send(request, credential)
        resource, now = request.resource, self._clock()
        failure = classify(response, resource=resource, now=now)
        result = failure if failure is not None else self._parse(response, parse)
        if not isinstance(result, Failure):
            record_success(credential, resource, now=now)
            return result
        record_failure(self._accounts, credential, result, resource, now=now)
        if result.kind in TRY_ANOTHER_ACCOUNT:
            _log.warning("github.account_refused", account=credential.name, reason=result.kind)
        return result

    async def _send(self, request: GitHubRequest, credential: Credential) -> GitHubResponse:
        """Send a request and follow redirects."""
        response = await self._send_once(request, credential)
        for _ in range(_MAX_REDIRECTS):
            is_redirect = 300 <= response.status < 400
            url = redirect_target(request, response) if is_redirect else None
            if url is None:
                break
            request = replace(request, url=url)
            response = await self._send_once(request, credential)
        return response

    def _parse(
        self, response: GitHubResponse, parse: Callable[[GitHubResponse], T | Failure]
    ) -> T | Failure:
        """Parse a response; an exception of the parser becomes a failure of this response alone."""
        try:
            return parse(response)
        except Exception as error:  # noqa: BLE001 - no response may crash the service
            reason = type(error).__name__
            if self._throttle.allows(("parser", reason)):
                _log.exception("github.parser_failed")
            return Failure(FailureKind.UNREADABLE, f"the parser failed: {reason}")

    async def _send_once(self, request: GitHubRequest, credential: Credential) -> GitHubResponse:
        started_at, rate_limit = self._monotonic(), None
        try:
            with (
                credential.track_in_flight(request.resource),
                credential.account.pace.measure(self._monotonic),
            ):
                # httpx2's time-out is for each read: a slow response could take forever.
                async with asyncio.timeout(self._timeout.total_seconds()):
                    response = await self._exchange(request, credential)
            rate_limit = parse_rate_limit(response, resource=request.resource, now=self._clock())
        except TooLargeBody as error:
            raise RequestFailed(Failure(FailureKind.TOO_LARGE, str(error))) from error
        # UnicodeError: httpx2 also parses redirects that nobody follows, and fails on some host names.
        except (UnreadableBody, UnicodeError) as error:
            raise RequestFailed(Failure(FailureKind.UNREADABLE, shorten(str(error)))) from error
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            host = httpx2.URL(request.url).host
            reason = describe_error(error, host=host)
            raise RequestFailed(Failure(FailureKind.UNREACHABLE, reason)) from error
        finally:
            if rate_limit is not None:
                credential.account.update_rate_limit(rate_limit)
            await self._budget.observe(credential.account, request.resource, rate_limit)
        _log.debug(
            "github.requested",
            resource=request.resource,
            account=credential.name,
            status=response.status,
            milliseconds=round((self._monotonic() - started_at) * 1000),
        )
        return response

    async def _exchange(self, request: GitHubRequest, credential: Credential) -> GitHubResponse:
        headers = self._headers[credential]
        if request.content is not None:
            headers = {**headers, "content-type": "application/json"}
        async with self._http.stream(
            request.method,
            request.url,
            headers=headers,
            content=request.content,
        ) as response:
            body = await read_body(
                response, max_bytes=MAX_RESPONSE_BYTES, large_responses=self._large_responses
            )
        return GitHubResponse(response.status_code, response.headers, body)

    def _build_headers(self, credential: Credential) -> dict[str, str]:
        headers = dict(_HEADERS)
        # An older Enterprise Server rejects a version that it does not know.
        if not self._api_url.endswith("/v3"):
            headers["x-github-api-version"] = API_VERSION
        if credential.token is not None:
            headers["authorization"] = f"Bearer {credential.token.reveal()}"
        return headers


def _is_retryable(error: Exception) -> bool:
    return isinstance(error, RequestFailed) and error.failure.kind in RETRYABLE


async def with_public_errors(
    fetching: Awaitable[T], *, name: str, time_limit: timedelta, throttle: LogThrottle
) -> T:
    """
    Await a fetch of the owner `name` for at most `time_limit`.

    :raises UnknownUser: GitHub knows no such owner
    :raises GitHubUnavailable: the fetch failed, or took too long
    """
    try:
        async with asyncio.timeout(time_limit.total_seconds()):
            return await fetching
    except RequestFailed as error:
        kind = error.failure.kind
        if kind is not FailureKind.NOT_FOUND and throttle.allows((name, kind)):
            _log.warning("github.refused", owner=name, reason=str(error))
        raise error.to_public_error(name) from error
    except TimeoutError as error:
        if throttle.allows((name, "timeout")):
            _log.warning("github.refused", owner=name, reason="timeout")
        raise GitHubUnavailable("GitHub did not respond in time") from error


def should_fall_back(failure: Failure, *, is_known: bool) -> bool:
    """Return whether REST is worth a request after this failure of GraphQL."""
    # For an unknown login one 404 is enough; a known owner must be missing from both APIs.
    is_missing = failure.kind is FailureKind.NOT_FOUND
    return (is_missing and is_known) or failure.kind in _FALL_BACK_TO_REST

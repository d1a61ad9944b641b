"""
The fake GitHub as a service: accounts, rate limits, cached pages and call counters.

Independent of the web framework. Each method handles one kind of request: it looks up the account,
charges the rate limit and returns a complete response.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import count

import msgspec

from github_sandbox import responses
from github_sandbox.account_store import AccountStore
from github_sandbox.faults import FaultConfig, FaultSchedule
from github_sandbox.graphql import (
    GraphQLRequest,
    QueryRejected,
    execute_query,
    prepare_query,
)
from github_sandbox.models import Account, Repository
from github_sandbox.rate_limits import (
    RateLimiter,
    RateLimitStatus,
    RateLimitSubject,
    Resource,
    Tokens,
)
from github_sandbox.resolvers import QueryTimeout
from github_sandbox.responses import CompressedBody, HttpError, HttpResponse
from github_sandbox.rest import (
    RepositoryQuery,
    build_link_header,
    build_repository_bodies,
    build_repository_body,
    build_user_body,
    select_repositories,
    slice_page,
)

Clock = Callable[[], datetime]

_PAGE_CACHE_SIZE = 256
_COMMON_HEADERS = {
    "x-github-media-type": "github.v3; format=json",
    "access-control-allow-origin": "*",
    "vary": "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding",
}
_CACHING_HEADERS = {"cache-control": "private, max-age=60, s-maxage=60"}


class CallCounts(msgspec.Struct):
    """Requests received and points charged since the start."""

    rest: int = 0
    graphql: int = 0
    rest_points: int = 0
    graphql_points: int = 0
    not_modified: int = 0
    failed: int = 0


class RequestContext(msgspec.Struct, frozen=True):
    """
    What a response depends on besides the path.

    `base_url` is the service's own URL as the client knows it. `is_rate_limited` and `is_truncated`
    are failures requested from the fault schedule.
    """

    subject: RateLimitSubject
    base_url: str
    request_id: str
    authorization: str = ""
    accept: str = ""
    if_none_match: str = ""
    accepts_gzip: bool = False
    is_rate_limited: bool = False
    is_truncated: bool = False


class GitHubService:
    """The state shared by all requests."""

    def __init__(
        self,
        accounts: AccountStore,
        *,
        tokens: Tokens,
        rate_limiter: RateLimiter,
        faults: FaultConfig,
        clock: Clock,
    ) -> None:
        self.accounts = accounts
        self.fault_schedule = FaultSchedule(faults)
        self.calls = CallCounts()
        self.now = clock
        self.tokens = tokens
        self._rate_limiter = rate_limiter
        self._request_numbers = count(1)
        self._cached_page = lru_cache(_PAGE_CACHE_SIZE)(self._build_page)

    def next_request_id(self) -> str:
        """Return a new request id in GitHub's format."""
        number = next(self._request_numbers)
        return f"5A2D:{number % 0x10000:04X}:{number:X}:{number * 2:X}:{int(self._seconds()):X}"

    def rate_limit_status(self, subject: RateLimitSubject, resource: Resource) -> RateLimitStatus:
        """Return what a subject has left, without charging it."""
        return self._rate_limiter.status(subject, resource, now=self._seconds())

    def get_user(self, context: RequestContext, account: Account | None) -> HttpResponse:
        """Return an account's profile, or 404 if there is none."""
        if account is None:
            return self._charge_not_found(context)
        body = build_user_body(account, base_url=context.base_url)
        return self._conditional_response(context, responses.compress(body))

    def list_repositories(
        self,
        context: RequestContext,
        account: Account | None,
        query: RepositoryQuery,
        parameters: Mapping[str, str],
    ) -> HttpResponse:
        """Return one page of an account's repositories, or 404 if there is no account."""
        if account is None:
            return self._charge_not_found(context)
        total, body = self._cached_page(self.accounts.revision, account.id, query, context.base_url)
        collection = "organizations" if query.is_organization else "user"
        url = f"{context.base_url}/{collection}/{account.id}/repos"
        link = build_link_header(url, parameters, total=total, query=query)
        return self._conditional_response(context, body, link=link)

    def get_repository(
        self, context: RequestContext, repository: Repository | None
    ) -> HttpResponse:
        """Return a repository, or 404 if there is none."""
        account = (
            self.accounts.find_repository_owner(repository.id) if repository is not None else None
        )
        if repository is None or account is None:
            return self._charge_not_found(context)
        body = build_repository_body(account, repository, base_url=context.base_url)
        return self._conditional_response(context, responses.compress(body))

    def get_languages(self, context: RequestContext, repository: Repository | None) -> HttpResponse:
        """Return the bytes of each language of a repository, or 404 if there is none."""
        if repository is None:
            return self._charge_not_found(context)
        sizes = self.accounts.language_sizes(repository)
        return self._conditional_response(context, responses.compress(sizes))

    def redirect(self, context: RequestContext, path: str) -> HttpResponse:
        """Return the redirect from a former name of a repository to the path with its id."""
        self._charge_rest(context, 1)
        headers = self._headers(context, Resource.CORE)
        return responses.moved_permanently(context.base_url + path, headers=headers)

    def get_rate_limit(self, context: RequestContext) -> HttpResponse:
        """Return the state of the rate limits, free of charge."""
        core, graphql = (self.rate_limit_status(context.subject, resource) for resource in Resource)
        body = msgspec.json.encode({"resources": {"core": core, "graphql": graphql}, "rate": core})
        return HttpResponse(200, body, self._headers(context, Resource.CORE))

    def execute_graphql(self, context: RequestContext, body: bytes) -> HttpResponse:
        """
        Execute a GraphQL request; errors in the query are returned with status 200.

        :raises HttpError: the body is not JSON, there is no token, or the query takes too long
        """
        if (account_id := context.subject.account_id) is None:
            raise HttpError(self._rate_limit_exceeded(context, Resource.GRAPHQL))
        try:
            query = prepare_query(_parse_graphql_request(body))
            result = execute_query(
                query,
                accounts=self.accounts,
                viewer=self.accounts.token_owner(account_id, now=self.now()),
                rate_limit=self._charge_graphql(context, query.points),
                now=self.now(),
                is_truncated=context.is_truncated,
                heavy_contributions=self.fault_schedule.config.heavy_contributions,
            )
        except QueryTimeout:
            raise HttpError(responses.bad_gateway()) from None
        except QueryRejected as rejected:
            result = {"errors": rejected.errors}
        headers = self._headers(context, Resource.GRAPHQL)
        return _full_response(context, responses.compress(result), headers)

    def _conditional_response(
        self, context: RequestContext, body: CompressedBody, *, link: str | None = None
    ) -> HttpResponse:
        """
        Return a body, or 304 if the client has it; charge a point, but none for a 304 with a token.

        :raises HttpError: the rate limit is exceeded
        """
        etag = responses.build_etag(
            body, accept=context.accept, authorization=context.authorization
        )
        is_not_modified = responses.matches_etag(etag, context.if_none_match)
        is_free = is_not_modified and context.subject.account_id is not None
        self._charge_rest(context, 0 if is_free else 1)
        headers = {**self._headers(context, Resource.CORE), "etag": etag, **_CACHING_HEADERS}
        if link is not None:
            headers["link"] = link
        if is_not_modified:
            self.calls.not_modified += 1
            return HttpResponse(304, b"", headers)
        return _full_response(context, body, headers)

    def _charge_not_found(self, context: RequestContext) -> HttpResponse:
        self._charge_rest(context, 1)
        return responses.not_found(headers=self._headers(context, Resource.CORE))

    def _charge_rest(self, context: RequestContext, points: int) -> None:
        # GitHub refuses even a free request (a 304) when no points are left.
        status = self.rate_limit_status(context.subject, Resource.CORE)
        if context.is_rate_limited or status.remaining <= 0:
            raise HttpError(self._rate_limit_exceeded(context, Resource.CORE))
        self._charge(context.subject, Resource.CORE, points)

    def _charge_graphql(self, context: RequestContext, points: int) -> RateLimitStatus:
        subject = context.subject
        if not context.is_rate_limited and (
            status := self._charge(subject, Resource.GRAPHQL, points)
        ):
            return status
        text = f"API rate limit exceeded for {subject}."
        raise QueryRejected([{"type": "RATE_LIMITED", "message": text}])

    def _charge(
        self, subject: RateLimitSubject, resource: Resource, points: int
    ) -> RateLimitStatus | None:
        """Charge points and return the new status; None if not enough are left."""
        if not self._rate_limiter.charge(subject, resource, points, now=self._seconds()):
            return None
        if resource is Resource.CORE:
            self.calls.rest_points += points
        else:
            self.calls.graphql_points += points
        return self.rate_limit_status(subject, resource)

    def _rate_limit_exceeded(self, context: RequestContext, resource: Resource) -> HttpResponse:
        headers = self._headers(context, resource) | {"x-ratelimit-remaining": "0"}
        is_anonymous = context.subject.account_id is None
        return responses.rate_limit_exceeded(
            str(context.subject), is_anonymous=is_anonymous, headers=headers
        )

    def _headers(self, context: RequestContext, resource: Resource) -> dict[str, str]:
        status = self.rate_limit_status(context.subject, resource)
        return {**status.headers(), "x-github-request-id": context.request_id, **_COMMON_HEADERS}

    def _build_page(
        self, revision: int, account_id: int, query: RepositoryQuery, base_url: str
    ) -> tuple[int, CompressedBody]:
        """Return the number of repositories and one page; `revision` is part of the cache key."""
        account = self.accounts.by_id(account_id)
        assert account is not None
        selected = select_repositories(account, query)
        bodies = build_repository_bodies(account, slice_page(selected, query), base_url=base_url)
        return len(selected), responses.compress(bodies)

    def _seconds(self) -> float:
        return self.now().timestamp()


def _full_response(
    context: RequestContext, body: CompressedBody, headers: Mapping[str, str]
) -> HttpResponse:
    if context.accepts_gzip:
        return HttpResponse(200, body.gzipped, {**headers, "content-encoding": "gzip"})
    return HttpResponse(200, body.decompress(), headers)


def _parse_graphql_request(body: bytes) -> GraphQLRequest:
    try:
        return msgspec.json.decode(body, type=GraphQLRequest)
    except msgspec.ValidationError as error:
        text = "A query attribute must be specified and must be a string."
        raise QueryRejected([{"message": text}]) from error
    except msgspec.DecodeError as error:
        raise HttpError(responses.message(400, "Problems parsing JSON")) from error

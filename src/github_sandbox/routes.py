"""
Routes of GitHub's REST and GraphQL APIs.

They are served at the root, as on api.github.com, and below /api, as on GitHub Enterprise Server.
"""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from github_sandbox import responses
from github_sandbox.faults import Failure
from github_sandbox.models import Account, Repository
from github_sandbox.rate_limits import BadCredentials, RateLimitSubject, Resource
from github_sandbox.responses import HttpError, HttpResponse
from github_sandbox.rest import parse_repository_query
from github_sandbox.service import GitHubService, RequestContext

_ENTERPRISE_PREFIX = "/api/v3"


def build_github_routes(*, middleware: Sequence[Middleware]) -> list[Route]:
    """Build all routes of the API, each wrapped in `middleware`."""
    graphql = [
        Route(path, post_graphql, methods=["POST"], middleware=middleware)
        for path in ("/graphql", "/api/graphql")
    ]
    rest = [
        Route(prefix + path, endpoint, middleware=middleware)
        for prefix in ("", _ENTERPRISE_PREFIX)
        for path, endpoint in _REST_ENDPOINTS.items()
    ]
    return graphql + rest


def to_starlette(response: HttpResponse) -> Response:
    """Convert a response to the framework's type; one without a body has no media type."""
    media_type = response.media_type if response.body else None
    return Response(response.body, response.status, response.headers, media_type)


async def get_own_user(request: Request) -> Response:
    """Return the account that the token belongs to."""
    service, context = _read_request(request)
    account_id = context.subject.account_id
    if account_id is None:
        return to_starlette(responses.message(401, "Requires authentication"))
    account = service.accounts.token_owner(account_id, now=service.now())
    return to_starlette(service.get_user(context, account))


async def get_user(request: Request) -> Response:
    """Return an account by its login."""
    service, context = _read_request(request)
    account = service.accounts.by_login(request.path_params["login"])
    return to_starlette(service.get_user(context, account))


async def get_user_by_id(request: Request) -> Response:
    """Return an account by its id, whatever its login is now."""
    service, context = _read_request(request)
    account = service.accounts.by_id(request.path_params["account_id"])
    return to_starlette(service.get_user(context, account))


async def get_organization(request: Request) -> Response:
    """Return an organization by its login; 404 for a user."""
    service, context = _read_request(request)
    account = _find_organization(service, request.path_params["login"])
    return to_starlette(service.get_user(context, account))


async def list_repositories(request: Request) -> Response:
    """Return a page of an account's repositories."""
    service, context = _read_request(request)
    account = service.accounts.by_login(request.path_params["login"])
    return _list_repositories(request, service, context, account)


async def list_repositories_by_id(request: Request) -> Response:
    """Return a page of an account's repositories, at the URL in the `Link` header."""
    service, context = _read_request(request)
    account = service.accounts.by_id(request.path_params["account_id"])
    return _list_repositories(request, service, context, account)


async def list_organization_repositories(request: Request) -> Response:
    """Return a page of an organization's repositories."""
    service, context = _read_request(request)
    account = _find_organization(service, request.path_params["login"])
    return _list_repositories(request, service, context, account, is_organization=True)


async def list_organization_repositories_by_id(request: Request) -> Response:
    """Return a page of an organization's repositories, at the URL in the `Link` header."""
    service, context = _read_request(request)
    account = service.accounts.by_id(request.path_params["account_id"])
    return _list_repositories(request, service, context, account, is_organization=True)


async def get_repository(request: Request) -> Response:
    """Return a repository by the names of its owner and itself, or redirect from former names."""
    service, context = _read_request(request)
    repository = _find_repository(request, service)
    if repository is not None and not _has_current_name(request, service, repository):
        return to_starlette(service.redirect(context, f"/repositories/{repository.id}"))
    return to_starlette(service.get_repository(context, repository))


async def get_repository_by_id(request: Request) -> Response:
    """Return a repository by its id, whatever its name is now."""
    service, context = _read_request(request)
    repository = service.accounts.repository_by_id(request.path_params["repository_id"])
    return to_starlette(service.get_repository(context, repository))


async def get_languages(request: Request) -> Response:
    """Return a repository's languages, or redirect from former names."""
    service, context = _read_request(request)
    repository = _find_repository(request, service)
    if repository is not None and not _has_current_name(request, service, repository):
        return to_starlette(service.redirect(context, f"/repositories/{repository.id}/languages"))
    return to_starlette(service.get_languages(context, repository))


async def get_languages_by_id(request: Request) -> Response:
    """Return a repository's languages by its id."""
    service, context = _read_request(request)
    repository = service.accounts.repository_by_id(request.path_params["repository_id"])
    return to_starlette(service.get_languages(context, repository))


async def get_rate_limit(request: Request) -> Response:
    """Return the state of the rate limits."""
    service, context = _read_request(request)
    return to_starlette(service.get_rate_limit(context))


async def post_graphql(request: Request) -> Response:
    """Execute a GraphQL request."""
    service, context = _read_request(request)
    return to_starlette(service.execute_graphql(context, await request.body()))


_REST_ENDPOINTS = {
    "/user": get_own_user,
    "/users/{login}": get_user,
    "/users/{login}/repos": list_repositories,
    "/user/{account_id:int}": get_user_by_id,
    "/user/{account_id:int}/repos": list_repositories_by_id,
    "/orgs/{login}": get_organization,
    "/orgs/{login}/repos": list_organization_repositories,
    "/organizations/{account_id:int}": get_user_by_id,
    "/organizations/{account_id:int}/repos": list_organization_repositories_by_id,
    "/repos/{owner}/{name}": get_repository,
    "/repos/{owner}/{name}/languages": get_languages,
    "/repositories/{repository_id:int}": get_repository_by_id,
    "/repositories/{repository_id:int}/languages": get_languages_by_id,
    "/rate_limit": get_rate_limit,
}


def _read_request(request: Request) -> tuple[GitHubService, RequestContext]:
    """
    Authenticate a request and read its headers.

    :raises HttpError: there is no user agent, or the credentials are invalid
    """
    service: GitHubService = request.app.state.service
    headers = request.headers
    if not headers.get("user-agent"):
        raise HttpError(responses.missing_user_agent())
    failure = getattr(request.state, "failure", None)
    context = RequestContext(
        subject=_authenticate(request, service),
        base_url=_build_base_url(request),
        request_id=service.next_request_id(),
        authorization=headers.get("authorization", ""),
        accept=headers.get("accept", ""),
        if_none_match=headers.get("if-none-match", ""),
        accepts_gzip="gzip" in headers.get("accept-encoding", ""),
        is_rate_limited=failure is Failure.RATE_LIMITED,
        is_truncated=failure is Failure.PARTIAL,
    )
    return service, context


def _authenticate(request: Request, service: GitHubService) -> RateLimitSubject:
    address = request.client.host if request.client else "unknown"
    try:
        return service.tokens.authenticate(request.headers.get("authorization"), address=address)
    except BadCredentials:
        # GitHub sends the rate limit of the IP address with a 401.
        anonymous = RateLimitSubject(None, address)
        headers = service.rate_limit_status(anonymous, Resource.CORE).headers()
        raise HttpError(responses.bad_credentials(headers=headers)) from None


def _build_base_url(request: Request) -> str:
    """Return the API's base URL; reading it from the scope is cheaper than parsing `request.url`."""
    scheme, path = request.scope["scheme"], request.scope["path"]
    prefix = _ENTERPRISE_PREFIX if path.startswith("/api/") else ""
    return f"{scheme}://{request.headers.get('host', 'localhost')}{prefix}"


def _find_organization(service: GitHubService, login: str) -> Account | None:
    account = service.accounts.by_login(login)
    return account if account is not None and account.is_organization else None


def _find_repository(request: Request, service: GitHubService) -> Repository | None:
    parameters = request.path_params
    return service.accounts.find_repository(parameters["owner"], parameters["name"])


def _has_current_name(request: Request, service: GitHubService, repository: Repository) -> bool:
    parameters, account = request.path_params, service.accounts.find_repository_owner(repository.id)
    return (
        account is not None
        and parameters["owner"].lower() == account.login.lower()
        and parameters["name"].lower() == repository.name.lower()
    )


def _list_repositories(
    request: Request,
    service: GitHubService,
    context: RequestContext,
    account: Account | None,
    *,
    is_organization: bool = False,
) -> Response:
    parameters = dict(request.query_params)
    query = parse_repository_query(parameters, is_organization=is_organization)
    return to_starlette(service.list_repositories(context, account, query, parameters))

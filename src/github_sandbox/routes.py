"""
GitHub's paths, REST and GraphQL: each finds the account it is about and leaves the rest to the desk.

They stand at the root, as on api.github.com, and below /api, as on GitHub Enterprise Server.
"""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from github_sandbox import answers
from github_sandbox.answers import Answer, Refusal
from github_sandbox.desk import Caller, Desk
from github_sandbox.faults import Failure
from github_sandbox.limits import BadCredentials, Payer, Resource
from github_sandbox.listing import read_listing
from github_sandbox.nouns import Account


def github_routes(*, middleware: Sequence[Middleware]) -> list[Route]:
    """Build all routes of GitHub, each inside of `middleware`."""
    graphql = [
        Route(path, post_graphql, methods=["POST"], middleware=middleware)
        for path in ("/graphql", "/api/graphql")
    ]
    rest = [
        Route(prefix + path, endpoint, middleware=middleware)
        for prefix in ("", _ENTERPRISE_PREFIX)
        for path, endpoint in _REST.items()
    ]
    return graphql + rest


def to_response(answer: Answer) -> Response:
    """Convert an answer to what the framework sends; without a body it has no type either."""
    media_type = answer.media_type if answer.body else None
    return Response(answer.body, answer.status, answer.headers, media_type)


async def get_own_user(request: Request) -> Response:
    """Return the account that the token belongs to."""
    desk, caller = _enter(request)
    number = caller.payer.account_id
    if number is None:
        return to_response(answers.said(401, "Requires authentication"))
    return to_response(desk.profile(caller, desk.population.keeper(number, now=desk.now())))


async def get_user(request: Request) -> Response:
    """Return an account by its login."""
    desk, caller = _enter(request)
    account = desk.population.by_login(request.path_params["login"])
    return to_response(desk.profile(caller, account))


async def get_user_by_id(request: Request) -> Response:
    """Return an account by its number, whatever its login is now."""
    desk, caller = _enter(request)
    account = desk.population.by_id(request.path_params["number"])
    return to_response(desk.profile(caller, account))


async def get_organization(request: Request) -> Response:
    """Return an organisation by its login; 404 for a person."""
    desk, caller = _enter(request)
    account = _organization(desk, request.path_params["login"])
    return to_response(desk.profile(caller, account))


async def list_repositories(request: Request) -> Response:
    """Return a page of an account's repositories."""
    desk, caller = _enter(request)
    account = desk.population.by_login(request.path_params["login"])
    return _page(request, desk, caller, account)


async def list_repositories_by_id(request: Request) -> Response:
    """Return a further page, where the `Link` of the first one leads."""
    desk, caller = _enter(request)
    account = desk.population.by_id(request.path_params["number"])
    return _page(request, desk, caller, account)


async def list_organization_repositories(request: Request) -> Response:
    """Return a page of an organisation's repositories."""
    desk, caller = _enter(request)
    account = _organization(desk, request.path_params["login"])
    return _page(request, desk, caller, account, of_organization=True)


async def list_organization_repositories_by_id(request: Request) -> Response:
    """Return a further page of an organisation's repositories."""
    desk, caller = _enter(request)
    account = desk.population.by_id(request.path_params["number"])
    return _page(request, desk, caller, account, of_organization=True)


async def get_rate_limit(request: Request) -> Response:
    """Return what is left of the budgets."""
    desk, caller = _enter(request)
    return to_response(desk.rate_limit(caller))


async def post_graphql(request: Request) -> Response:
    """Execute a GraphQL query."""
    desk, caller = _enter(request)
    return to_response(desk.graphql(caller, await request.body()))


_ENTERPRISE_PREFIX = "/api/v3"

_REST = {
    "/user": get_own_user,
    "/users/{login}": get_user,
    "/users/{login}/repos": list_repositories,
    "/user/{number:int}": get_user_by_id,
    "/user/{number:int}/repos": list_repositories_by_id,
    "/orgs/{login}": get_organization,
    "/orgs/{login}/repos": list_organization_repositories,
    "/organizations/{number:int}": get_user_by_id,
    "/organizations/{number:int}/repos": list_organization_repositories_by_id,
    "/rate_limit": get_rate_limit,
}


def _enter(request: Request) -> tuple[Desk, Caller]:
    """
    Identify the caller.

    :raises Refusal: no name or bad credentials are given
    """
    desk: Desk = request.app.state.desk
    headers = request.headers
    if not headers.get("user-agent"):
        raise Refusal(answers.no_user_agent())
    failure = getattr(request.state, "failure", None)
    caller = Caller(
        payer=_payer(request, desk),
        base=_base(request),
        request_id=desk.next_request_id(),
        authorization=headers.get("authorization", ""),
        accept=headers.get("accept", ""),
        if_none_match=headers.get("if-none-match", ""),
        takes_gzip="gzip" in headers.get("accept-encoding", ""),
        is_limited=failure is Failure.RATE_LIMITED,
        is_given_up=failure is Failure.PARTIAL,
    )
    return desk, caller


def _payer(request: Request, desk: Desk) -> Payer:
    address = request.client.host if request.client else "unknown"
    try:
        return desk.tokens.payer(request.headers.get("authorization"), address=address)
    except BadCredentials:
        left = desk.allowance(Payer(None, address), Resource.CORE)
        bad = answers.bad_credentials()
        raise Refusal(Answer(bad.status, bad.body, left.headers())) from None


def _base(request: Request) -> str:
    """Build our own address as the caller knows it; `request.url` would parse the whole of it."""
    scheme, path = request.scope["scheme"], request.scope["path"]
    prefix = _ENTERPRISE_PREFIX if path.startswith("/api/") else ""
    return f"{scheme}://{request.headers.get('host', 'localhost')}{prefix}"


def _organization(desk: Desk, login: str) -> Account | None:
    account = desk.population.by_login(login)
    return account if account is not None and account.is_organization else None


def _page(
    request: Request,
    desk: Desk,
    caller: Caller,
    account: Account | None,
    *,
    of_organization: bool = False,
) -> Response:
    query = dict(request.query_params)
    listing = read_listing(query, of_organization=of_organization)
    return to_response(desk.repositories(caller, account, listing, query))

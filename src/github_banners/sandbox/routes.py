"""
GitHub's paths, REST and GraphQL: each finds whom it is about and leaves the rest to the desk.

They stand at the root, as on api.github.com, and below /api, as on GitHub Enterprise Server.
"""

from typing import Any, TypeAlias

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath

from github_banners.sandbox import answers
from github_banners.sandbox.answers import Answer, Refusal
from github_banners.sandbox.desk import Caller, Desk
from github_banners.sandbox.faults import Failure
from github_banners.sandbox.limits import BadCredentials, Payer, Resource
from github_banners.sandbox.listing import read_listing
from github_banners.sandbox.nouns import Account

Asked: TypeAlias = Request[Any, Any, State]
Reply: TypeAlias = Response[bytes]


def identify(request: Asked, desk: NamedDependency[Desk]) -> Caller:
    """
    Find out who asks.

    :raises Refusal: they do not say who they are, or are not who they say
    """
    headers = request.headers
    if not headers.get("user-agent"):
        raise Refusal(answers.no_user_agent())
    failure = request.scope["state"].get("failure")
    return Caller(
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


def _payer(request: Asked, desk: Desk) -> Payer:
    address = request.client.host if request.client else "unknown"
    try:
        return desk.tokens.payer(request.headers.get("authorization"), address=address)
    except BadCredentials:
        left = desk.allowance(Payer(None, address), Resource.CORE)
        bad = answers.bad_credentials()
        raise Refusal(Answer(bad.status, bad.body, left.headers())) from None


def _base(request: Asked) -> str:
    prefix = "/api/v3" if request.scope["path"].startswith("/api/") else ""
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}{prefix}"


def respond(answer: Answer) -> Reply:
    """Hand an answer to the server."""
    return Response(
        answer.body,
        status_code=answer.status,
        headers=dict(answer.headers),
        media_type=answer.media_type,
    )


@get("/user")
async def get_own_user(caller: NamedDependency[Caller], desk: NamedDependency[Desk]) -> Reply:
    """Answer whose token this is."""
    number = caller.payer.account_id
    if number is None:
        return respond(answers.said(401, "Requires authentication"))
    return respond(desk.profile(caller, desk.population.keeper(number, now=desk.now())))


@get("/users/{login:str}")
async def get_user(
    login: FromPath[str], caller: NamedDependency[Caller], desk: NamedDependency[Desk]
) -> Reply:
    """Answer who somebody is."""
    return respond(desk.profile(caller, desk.population.by_login(login)))


@get(["/user/{number:int}", "/organizations/{number:int}"])
async def get_user_by_id(
    number: FromPath[int], caller: NamedDependency[Caller], desk: NamedDependency[Desk]
) -> Reply:
    """Answer who somebody is, whatever they are called now."""
    return respond(desk.profile(caller, desk.population.by_id(number)))


@get("/orgs/{login:str}")
async def get_organization(
    login: FromPath[str], caller: NamedDependency[Caller], desk: NamedDependency[Desk]
) -> Reply:
    """Answer what an organisation is; a person is not one."""
    return respond(desk.profile(caller, _organization(desk, login)))


@get("/users/{login:str}/repos")
async def list_repositories(
    request: Asked,
    login: FromPath[str],
    caller: NamedDependency[Caller],
    desk: NamedDependency[Desk],
) -> Reply:
    """Answer a page of somebody's repositories."""
    query = _query(request)
    account = desk.population.by_login(login)
    return respond(desk.repositories(caller, account, read_listing(query), query))


@get("/user/{number:int}/repos")
async def list_repositories_by_id(
    request: Asked,
    number: FromPath[int],
    caller: NamedDependency[Caller],
    desk: NamedDependency[Desk],
) -> Reply:
    """Answer a further page, where the first one's `Link` leads."""
    query = _query(request)
    account = desk.population.by_id(number)
    return respond(desk.repositories(caller, account, read_listing(query), query))


@get("/orgs/{login:str}/repos")
async def list_organization_repositories(
    request: Asked,
    login: FromPath[str],
    caller: NamedDependency[Caller],
    desk: NamedDependency[Desk],
) -> Reply:
    """Answer a page of an organisation's repositories."""
    query = _query(request)
    wish = read_listing(query, of_organization=True)
    return respond(desk.repositories(caller, _organization(desk, login), wish, query))


@get("/organizations/{number:int}/repos")
async def list_organization_repositories_by_id(
    request: Asked,
    number: FromPath[int],
    caller: NamedDependency[Caller],
    desk: NamedDependency[Desk],
) -> Reply:
    """Answer a further page of an organisation's repositories."""
    query = _query(request)
    wish = read_listing(query, of_organization=True)
    return respond(desk.repositories(caller, desk.population.by_id(number), wish, query))


@get("/rate_limit")
async def get_rate_limit(caller: NamedDependency[Caller], desk: NamedDependency[Desk]) -> Reply:
    """Answer what is left of the budgets."""
    return respond(desk.rate_limit(caller))


@post("/graphql", status_code=200)
async def ask_graphql(
    request: Asked, caller: NamedDependency[Caller], desk: NamedDependency[Desk]
) -> Reply:
    """Answer a GraphQL query."""
    return respond(desk.graphql(caller, await request.body()))


def _organization(desk: Desk, login: str) -> Account | None:
    account = desk.population.by_login(login)
    return account if account is not None and account.is_organization else None


def _query(request: Asked) -> dict[str, str]:
    return {name: str(value) for name, value in request.query_params.items()}


REST = (
    get_own_user,
    get_user,
    get_user_by_id,
    get_organization,
    list_repositories,
    list_repositories_by_id,
    list_organization_repositories,
    list_organization_repositories_by_id,
    get_rate_limit,
)
"""Every REST path of GitHub that the sandbox knows."""

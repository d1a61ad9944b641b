"""
Resolves the GitHub account of each token, so that tokens of one account share its rate limit.

Each token is looked up once, in the background: until then it counts as an account of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from github_banners.github import graphql, rest
from github_banners.github.credentials import Credential, assign_user
from github_banners.github.graphql import Viewer
from github_banners.github.protocol import Failure, FailureKind, GitHubResponse, Resource
from github_banners.github.sender import RequestFailed, Sender
from github_banners.models import Clock

_log = structlog.get_logger(__name__)

_RETRY_SECONDS = 60.0
# With any other failure, REST would fail as well.
_MAY_CONCERN_GRAPHQL_ONLY = {
    FailureKind.FORBIDDEN,
    FailureKind.PRIMARY_LIMIT,
    FailureKind.SERVER,
    FailureKind.TOO_HEAVY,
    FailureKind.UNREADABLE,
}
# The token of an app installation belongs to no user: looking it up again would not help.
_PERMANENT = {FailureKind.FORBIDDEN, FailureKind.NOT_FOUND, FailureKind.UNREADABLE}


async def fetch_token_owner(sender: Sender, credential: Credential, *, clock: Clock) -> Viewer:
    """
    Fetch the account that a token belongs to, over REST if GraphQL fails.

    :raises RequestFailed: the token is rejected, or GitHub can't be reached
    """
    request = sender.graphql_request(graphql.build_viewer_query().to_json())
    try:
        return await sender.send_as(credential, request, partial(graphql.parse_viewer, now=clock()))
    except RequestFailed as error:
        if error.failure.kind not in _MAY_CONCERN_GRAPHQL_ONLY:
            raise
    return await sender.send_as(credential, sender.rest_request("/user"), _parse_user)


async def group_by_account(
    sender: Sender,
    *,
    clock: Clock,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """
    Resolve the accounts of all tokens, and merge those of one account.

    A lookup that failed is repeated every minute, unless its failure is permanent.
    """
    unknown = [
        credential
        for account in sender.accounts
        for credential in account.credentials
        if credential.token is not None
    ]
    while True:
        unknown = [
            credential
            for credential in unknown
            if not await _resolve(sender, credential, clock=clock)
        ]
        if not unknown:
            return
        await sleep(_RETRY_SECONDS)


async def _resolve(sender: Sender, credential: Credential, *, clock: Clock) -> bool:
    is_usable = any(credential.account.is_usable(resource, now=clock()) for resource in Resource)
    if credential.is_cooling_down(now=clock()) or not is_usable:
        return False
    try:
        owner = await fetch_token_owner(sender, credential, clock=clock)
    except RequestFailed as error:
        _log.info("github.token_owner_unknown", account=credential.name, reason=error.failure.kind)
        return error.failure.kind in _PERMANENT
    assign_user(sender.accounts, credential, user_id=owner.id)
    shared = [sharing.name for sharing in credential.account.credentials]
    _log.info("github.token_owner_found", account=credential.name, owner=owner.login)
    if len(shared) > 1:
        _log.warning("github.rate_limit_shared", owner=owner.login, accounts=shared)
    return True


def _parse_user(response: GitHubResponse) -> Viewer | Failure:
    profile = rest.parse_owner(response)
    if isinstance(profile, Failure):
        return profile
    return Viewer(profile.owner.id, profile.owner.login)

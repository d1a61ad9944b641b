"""
Whose the tokens are: GitHub is asked once about each, and those of one account share its budget.

Until that is known each token counts as an account of its own, so nobody waits for it.
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
# What says nothing of GraphQL alone, REST would say too.
_FALL_BACK_TO_REST = {
    FailureKind.FORBIDDEN,
    FailureKind.PRIMARY_LIMIT,
    FailureKind.SERVER,
    FailureKind.TOO_HEAVY,
    FailureKind.UNREADABLE,
}
# An app's installation is nobody, and stays so.
_PERMANENT = {FailureKind.FORBIDDEN, FailureKind.NOT_FOUND, FailureKind.UNREADABLE}


async def fetch_token_owner(sender: Sender, credential: Credential, *, clock: Clock) -> Viewer:
    """
    Ask whose a key is; REST tells it where there is no GraphQL.

    :raises RequestFailed: the token is refused, or GitHub can't say now
    """
    question = sender.graphql_request(graphql.build_viewer_query().to_json())
    try:
        return await sender.send_as(
            credential, question, partial(graphql.parse_viewer, now=clock())
        )
    except RequestFailed as refused:
        if refused.failure.kind not in _FALL_BACK_TO_REST:
            raise
    return await sender.send_as(credential, sender.rest_request("/user"), _parse_user)


async def group_by_account(
    sender: Sender,
    *,
    clock: Clock,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """
    Find out whose every token is, and let those of one account share its budget.

    A token that is refused, or not answered for, is asked about again when its time has come.
    """
    unknown = [
        key for account in sender.accounts for key in account.credentials if key.token is not None
    ]
    while True:
        unknown = [key for key in unknown if not await _resolve(sender, key, clock=clock)]
        if not unknown:
            return
        await sleep(_RETRY_SECONDS)


async def _resolve(sender: Sender, credential: Credential, *, clock: Clock) -> bool:
    may_pay = any(credential.account.is_usable(one, now=clock()) for one in Resource)
    if credential.is_cooling_down(now=clock()) or not may_pay:
        return False
    try:
        holder = await fetch_token_owner(sender, credential, clock=clock)
    except RequestFailed as refused:
        _log.info("github.holder_unknown", account=credential.name, reason=refused.failure.kind)
        return refused.failure.kind in _PERMANENT
    assign_user(sender.accounts, credential, user_id=holder.id)
    shared = [one.name for one in credential.account.credentials]
    _log.info("github.holder_known", account=credential.name, holder=holder.login)
    if len(shared) > 1:
        _log.warning("github.budget_shared", holder=holder.login, accounts=shared)
    return True


def _parse_user(response: GitHubResponse) -> Viewer | Failure:
    answer = rest.parse_owner(response)
    if isinstance(answer, Failure):
        return answer
    return Viewer(answer.owner.id, answer.owner.login)

"""
Whose the tokens are: GitHub is asked once about each, and those of one account share its budget.

Until that is known each token counts as an account of its own, so nobody waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from github_banners.github import graphql, rest
from github_banners.github.accounts import Key, join
from github_banners.github.graphql import Viewer
from github_banners.github.protocol import Failure, FailureKind, Reply, Resource
from github_banners.github.sender import Refused, Sender
from github_banners.model import Clock

_log = structlog.get_logger(__name__)

_ASK_AGAIN_SECONDS = 60.0
# What says nothing of GraphQL alone, REST would say too.
_REST_MAY_KNOW = {
    FailureKind.FORBIDDEN,
    FailureKind.PRIMARY_LIMIT,
    FailureKind.SERVER,
    FailureKind.TOO_HEAVY,
    FailureKind.UNREADABLE,
}
# An app's installation is nobody, and stays so.
_FOR_GOOD = {FailureKind.FORBIDDEN, FailureKind.NOT_FOUND, FailureKind.UNREADABLE}


async def ask_holder(sender: Sender, key: Key, *, clock: Clock) -> Viewer:
    """
    Ask whose a key is; REST tells it where there is no GraphQL.

    :raises Refused: the token is refused, or GitHub can't say now
    """
    question = sender.query(graphql.ask_viewer().to_json())
    try:
        return await sender.ask_as(key, question, partial(graphql.read_viewer, now=clock()))
    except Refused as refused:
        if refused.failure.kind not in _REST_MAY_KNOW:
            raise
    return await sender.ask_as(key, sender.get("/user"), _read_user)


async def group_by_holder(
    sender: Sender,
    *,
    clock: Clock,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """
    Find out whose every token is, and let those of one account share its budget.

    A token that is refused, or not answered for, is asked about again when its time has come.
    """
    unknown = [key for account in sender.accounts for key in account.keys if key.token is not None]
    while True:
        unknown = [key for key in unknown if not await _is_settled(sender, key, clock=clock)]
        if not unknown:
            return
        await sleep(_ASK_AGAIN_SECONDS)


async def _is_settled(sender: Sender, key: Key, *, clock: Clock) -> bool:
    may_pay = any(key.account.may_pay(one, now=clock()) for one in Resource)
    if key.rests(now=clock()) or not may_pay:
        return False
    try:
        holder = await ask_holder(sender, key, clock=clock)
    except Refused as refused:
        _log.info("github.holder_unknown", account=key.name, reason=refused.failure.kind)
        return refused.failure.kind in _FOR_GOOD
    join(sender.accounts, key, holder_id=holder.id)
    shared = [one.name for one in key.account.keys]
    _log.info("github.holder_known", account=key.name, holder=holder.login)
    if len(shared) > 1:
        _log.warning("github.budget_shared", holder=holder.login, accounts=shared)
    return True


def _read_user(reply: Reply) -> Viewer | Failure:
    answer = rest.read_owner(reply)
    if isinstance(answer, Failure):
        return answer
    return Viewer(answer.owner.id, answer.owner.login)

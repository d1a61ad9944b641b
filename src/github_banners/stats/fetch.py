"""
Whom a name means: GitHub's id is the identity, a login can be given up and taken by another.

An owner seen before is asked for by id, so that a rename is followed; the name is asked for where
somebody else may hold it by now.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from github_banners.errors import BannersError, UnknownUser
from github_banners.models import Owner, OwnerRepositories, Snapshot, Stats


class OwnerFetcher(Protocol):
    """What is needed of GitHub; both raise UnknownUser or GitHubUnavailable."""

    async def fetch(self, login: str, *, is_known: bool = False) -> OwnerRepositories:
        """Ask about the present holder of a login; `is_known` if it has, or had, a holder here."""

    async def fetch_by_id(
        self, owner: Owner, *, previous: Stats | None = None
    ) -> OwnerRepositories:
        """Ask about an owner seen before; a steep fall from `previous` numbers is confirmed first."""


class BatchOwnerFetcher(Protocol):
    """What is needed of GitHub where nobody waits."""

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[OwnerRepositories | BannersError]:
        """
        Ask about owners seen before; each gets an answer or its own error, in their order.

        `previous` are the numbers known so far, by owner's id: a steep fall is confirmed first.
        """


async def resolve_login(
    github: OwnerFetcher, login: str, known: Snapshot | None
) -> list[OwnerRepositories]:
    """
    Ask whom a login means now; `known` is who held it last.

    The last portfolio is the answer, those before it were learnt on the way.

    :raises UnknownUser: neither the name nor its last holder is there
    """
    if known is None:
        return [await github.fetch(login)]
    if known.owner.login.lower() != login.lower():
        return await _resolve_former_login(github, login, known)
    try:
        followed = await github.fetch_by_id(known.owner, previous=known.stats)
    except UnknownUser:
        return [await github.fetch(login, is_known=True)]
    if followed.owner.login.lower() == login.lower():
        return [followed]
    try:
        return [followed, await github.fetch(login, is_known=True)]
    except UnknownUser:
        return [followed]


async def _resolve_former_login(
    github: OwnerFetcher, login: str, known: Snapshot
) -> list[OwnerRepositories]:
    """Ask by a name that its holder gave up: somebody else's now, or still a way to them."""
    try:
        return [await github.fetch(login, is_known=True)]
    except UnknownUser:
        return [await github.fetch_by_id(known.owner, previous=known.stats)]

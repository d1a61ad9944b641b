"""
Fetching an owner from GitHub: which account a login refers to, and what a fetch costs its client.

GitHub's numeric id is the identity: a login can be given up and taken by another account. An owner seen
before is fetched by id, so that a rename is followed; the login is fetched where it may have changed
hands.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from github_banners.errors import BannersError, UnknownUser
from github_banners.github.protocol import PAGE_SIZE
from github_banners.models import Owner, OwnerRepositories, Snapshot, Stats


class OwnerFetcher(Protocol):
    """Fetches single owners; both methods raise UnknownUser or GitHubUnavailable."""

    async def fetch(self, login: str, *, is_known: bool = False) -> OwnerRepositories:
        """Fetch the current holder of a login; `is_known` if the login has, or had, a holder here."""

    async def fetch_by_id(
        self, owner: Owner, *, previous: Stats | None = None
    ) -> OwnerRepositories:
        """Fetch an owner seen before; a steep fall from `previous` numbers is confirmed first."""


class BatchOwnerFetcher(Protocol):
    """Fetches many owners at once, for background work."""

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[OwnerRepositories | BannersError]:
        """
        Fetch owners seen before; return a result or an error for each, in their order.

        `previous` maps owner ids to the last known numbers: a steep fall is confirmed first.
        """


class Charge(Protocol):
    """Charges requests to GitHub to the client that causes them."""

    def __call__(self, *, debt: int = 0) -> None:
        """
        Charge one request before it is sent, or `debt` requests after the fact.

        :raises TooManyRequests: the client has no requests left; never raised for a debt
        """


def charge_extra_pages(repository_count: int, charge: Charge) -> None:
    """Charge the requests that a list of repositories took beyond its first page."""
    if extra_pages := max(0, repository_count - 1) // PAGE_SIZE:
        charge(debt=extra_pages)


def no_charge(*, debt: int = 0) -> None:
    """Charge nothing."""


async def resolve_login(
    github: OwnerFetcher, login: str, known: Snapshot | None
) -> list[OwnerRepositories]:
    """
    Fetch the account that a login refers to now; `known` is the last account that held it.

    Return one or two owners: the last is the result, the one before it was fetched on the way.

    :raises UnknownUser: neither the login nor its last holder exists
    """
    if known is None:
        return [await github.fetch(login)]
    fetched: list[OwnerRepositories] = []
    if known.owner.login.lower() == login.lower():
        try:
            fetched = [await github.fetch_by_id(known.owner, previous=known.stats)]
        except UnknownUser:
            return [await github.fetch(login, is_known=True)]
        if fetched[0].owner.login.lower() == login.lower():
            return fetched
    # The holder gave up this login: it belongs to another account now, or still leads to the holder.
    try:
        return [*fetched, await github.fetch(login, is_known=True)]
    except UnknownUser:
        return fetched or [await github.fetch_by_id(known.owner, previous=known.stats)]

"""
Who is there now: the invented, the recorded, and what has happened to them since.

Renames, deletions and changes lie over a world that stays as it is; a freed login can be taken by
somebody else, as on GitHub.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from github_sandbox.nouns import Account, Repository, account_number, node_id_of
from github_sandbox.world import World


class NobodyThere(LookupError):
    """Nobody has this login."""


class LoginTaken(ValueError):
    """Somebody else has this login."""


class Population:
    """Every account by login, number or global id; `generation` rises with each change."""

    def __init__(self, world: World, recorded: Iterable[Account] = ()) -> None:
        self.generation = 0
        self._world = world
        self._recorded = {account.id: account for account in recorded}
        self._recorded_ids = {one.login.lower(): one.id for one in self._recorded.values()}
        self._changed: dict[int, Account | None] = {}
        self._moved: dict[str, int | None] = {}
        self._newcomers = 0

    def by_login(self, login: str) -> Account | None:
        """Find an account by its present login, in any case."""
        lower = login.lower()
        number = self._moved[lower] if lower in self._moved else self._born_with(lower)
        return None if number is None else self.by_id(number)

    def by_id(self, number: int) -> Account | None:
        """Find an account by its number, whatever it is called now."""
        if number in self._changed:
            return self._changed[number]
        return self._recorded.get(number) or self._world.account(number)

    def by_node_id(self, node_id: str) -> Account | None:
        """Find an account by its global id."""
        number = account_number(node_id)
        return None if number is None else self.by_id(number)

    def keeper(self, number: int, *, now: datetime) -> Account:
        """Find the account that owns a token; invents one where the number is nobody's."""
        return self.by_id(number) or Account(
            id=number,
            node_id=node_id_of("User", number),
            login=f"keeper-{number}",
            name=None,
            is_organization=False,
            followers=0,
            following=0,
            created_at=now,
            updated_at=now,
        )

    def rename(self, login: str, *, to: str, now: datetime) -> Account:
        """
        Give an account another login; the old one is free from then on.

        :raises NobodyThere: nobody has the old login
        :raises LoginTaken: somebody else has the new one
        """
        account = self._present(login)
        holder = self.by_login(to)
        if holder is not None and holder.id != account.id:
            raise LoginTaken(to)
        self._moved[account.login.lower()] = None
        self._moved[to.lower()] = account.id
        return self._keep(msgspec.structs.replace(account, login=to, updated_at=now))

    def delete(self, login: str) -> None:
        """
        Remove an account; its login is free from then on.

        :raises NobodyThere: nobody has this login
        """
        account = self._present(login)
        self._moved[account.login.lower()] = None
        self._changed[account.id] = None
        self.generation += 1

    def take_over(self, login: str) -> Account:
        """
        Let somebody new, with a number of their own, take a free login.

        :raises LoginTaken: it is not free
        """
        if self.by_login(login) is not None:
            raise LoginTaken(login)
        self._newcomers += 1
        account = self._world.newcomer(login, number=self._newcomers)
        self._moved[login.lower()] = account.id
        return self._keep(account)

    def change(
        self, login: str, *, now: datetime, name: str | None = None, stars: int | None = None
    ) -> Account:
        """
        Change an account: its display name, the stars of its oldest original repository.

        Without an original repository `stars` changes nothing.

        :raises NobodyThere: nobody has this login
        """
        account = self._present(login)
        if name is not None:
            account = msgspec.structs.replace(account, name=name, updated_at=now)
        if stars is not None:
            starred = _with_stars(account.repositories, stars)
            account = msgspec.structs.replace(account, repositories=starred)
        return self._keep(account)

    def _born_with(self, lower: str) -> int | None:
        recorded = self._recorded_ids.get(lower)
        return self._world.id_of(lower) if recorded is None else recorded

    def _present(self, login: str) -> Account:
        if (account := self.by_login(login)) is None:
            raise NobodyThere(login)
        return account

    def _keep(self, account: Account) -> Account:
        self._changed[account.id] = account
        self.generation += 1
        return account


def _with_stars(repositories: tuple[Repository, ...], stars: int) -> tuple[Repository, ...]:
    oldest = next((one for one in repositories if not one.is_fork), None)
    return tuple(
        msgspec.structs.replace(one, stars=stars) if one is oldest else one for one in repositories
    )

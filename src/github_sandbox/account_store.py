"""
The accounts that exist at the moment: generated and recorded ones, plus what has changed since.

Renames, deletions and edits are overlaid on the unchanging base. A login that has become free can be
taken by a new account, as on GitHub.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from github_sandbox.generator import AccountGenerator
from github_sandbox.models import Account, Repository, build_node_id, parse_account_node_id


class AccountNotFound(LookupError):
    """No account has this login."""


class LoginTaken(ValueError):
    """Another account has this login."""


class AccountStore:
    """Finds accounts by login, id or node id; `revision` increases with each change."""

    def __init__(self, generator: AccountGenerator, recorded: Iterable[Account] = ()) -> None:
        self.revision = 0
        self._generator = generator
        self._recorded = {account.id: account for account in recorded}
        self._recorded_ids = {
            account.login.lower(): account.id for account in self._recorded.values()
        }
        self._changed: dict[int, Account | None] = {}
        self._login_overrides: dict[str, int | None] = {}
        self._new_accounts = 0

    def by_login(self, login: str) -> Account | None:
        """Return the account that has a login now, in any case."""
        lowered = login.lower()
        if lowered in self._login_overrides:
            account_id = self._login_overrides[lowered]
        else:
            account_id = self._original_id(lowered)
        return None if account_id is None else self.by_id(account_id)

    def by_id(self, account_id: int) -> Account | None:
        """Return the account with an id, whatever its login is now."""
        if account_id in self._changed:
            return self._changed[account_id]
        return self._recorded.get(account_id) or self._generator.account(account_id)

    def by_node_id(self, node_id: str) -> Account | None:
        """Return the account with a global node id."""
        account_id = parse_account_node_id(node_id)
        return None if account_id is None else self.by_id(account_id)

    def token_owner(self, account_id: int, *, now: datetime) -> Account:
        """Return the account a token belongs to; an unknown id gets a placeholder account."""
        return self.by_id(account_id) or Account(
            id=account_id,
            node_id=build_node_id("User", account_id),
            login=f"token-owner-{account_id}",
            name=None,
            is_organization=False,
            followers=0,
            following=0,
            created_at=now,
            updated_at=now,
        )

    def rename(self, login: str, *, to: str, now: datetime) -> Account:
        """
        Change an account's login; the old login is free from then on.

        :raises AccountNotFound: no account has the old login
        :raises LoginTaken: another account has the new login
        """
        account = self._require(login)
        holder = self.by_login(to)
        if holder is not None and holder.id != account.id:
            raise LoginTaken(to)
        self._login_overrides[account.login.lower()] = None
        self._login_overrides[to.lower()] = account.id
        return self._store(msgspec.structs.replace(account, login=to, updated_at=now))

    def delete(self, login: str) -> None:
        """
        Delete an account; its login is free from then on.

        :raises AccountNotFound: no account has this login
        """
        account = self._require(login)
        self._login_overrides[account.login.lower()] = None
        self._changed[account.id] = None
        self.revision += 1

    def take_over(self, login: str) -> Account:
        """
        Create an account with a new id for a free login.

        :raises LoginTaken: the login is not free
        """
        if self.by_login(login) is not None:
            raise LoginTaken(login)
        self._new_accounts += 1
        account = self._generator.new_account(login, number=self._new_accounts)
        self._login_overrides[login.lower()] = account.id
        return self._store(account)

    def change(
        self, login: str, *, now: datetime, name: str | None = None, stars: int | None = None
    ) -> Account:
        """
        Change an account's display name and the stars of its oldest repository that is not a fork.

        `stars` has no effect on an account that has only forks.

        :raises AccountNotFound: no account has this login
        """
        account = self._require(login)
        if name is not None:
            account = msgspec.structs.replace(account, name=name, updated_at=now)
        if stars is not None:
            repositories = _with_stars(account.repositories, stars)
            account = msgspec.structs.replace(account, repositories=repositories)
        return self._store(account)

    def _original_id(self, lowered: str) -> int | None:
        recorded_id = self._recorded_ids.get(lowered)
        return self._generator.find_id(lowered) if recorded_id is None else recorded_id

    def _require(self, login: str) -> Account:
        if (account := self.by_login(login)) is None:
            raise AccountNotFound(login)
        return account

    def _store(self, account: Account) -> Account:
        self._changed[account.id] = account
        self.revision += 1
        return account


def _with_stars(repositories: tuple[Repository, ...], stars: int) -> tuple[Repository, ...]:
    oldest = next((repository for repository in repositories if not repository.is_fork), None)
    return tuple(
        msgspec.structs.replace(repository, stars=stars) if repository is oldest else repository
        for repository in repositories
    )

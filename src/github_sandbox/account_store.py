"""
The accounts that exist at the moment: generated and recorded ones, plus what has changed since.

Renames, deletions and edits are overlaid on the unchanging base. A login that has become free can be
taken by a new account, as on GitHub. Former names of repositories and of their owners lead to them.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from github_sandbox.generator import AccountGenerator
from github_sandbox.models import (
    Account,
    Repository,
    build_node_id,
    parse_account_node_id,
    parse_repository_node_id,
)
from github_sandbox.recordings import recorded_language_sizes


class AccountNotFound(LookupError):
    """No account has this login."""


class LoginTaken(ValueError):
    """Another account has this login."""


class RepositoryNotFound(LookupError):
    """The account has no repository of this name."""


class RepositoryNameTaken(ValueError):
    """Another repository of the account has this name."""


class AccountStore:
    """
    Finds accounts by login, id or node id, and repositories by name, id or node id.

    `revision` increases with each change.
    """

    def __init__(self, generator: AccountGenerator, recorded: Iterable[Account] = ()) -> None:
        self.revision = 0
        self._generator = generator
        self._recorded = {account.id: account for account in recorded}
        self._recorded_ids = {
            account.login.lower(): account.id for account in self._recorded.values()
        }
        self._recorded_owner_ids = {
            repository.id: account.id
            for account in self._recorded.values()
            for repository in account.repositories
        }
        self.contributions = generator.contributions
        self._changed: dict[int, Account | None] = {}
        self._login_overrides: dict[str, int | None] = {}
        self._former_logins: dict[str, int] = {}
        self._former_repository_names: dict[tuple[int, str], int] = {}
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

    def find_repository(
        self, owner: str, name: str, *, follow_renames: bool = True
    ) -> Repository | None:
        """
        Return the repository `owner/name`, in any case.

        With `follow_renames` a former name of the repository or its owner leads to it, until another
        repository has that name.
        """
        accounts = [self.by_login(owner)]
        if follow_renames and (former_holder := self._former_logins.get(owner.lower())):
            accounts.append(self.by_id(former_holder))
        for account in filter(None, accounts):
            if repository := _find_by_name(account, name):
                return repository
            former_id = self._former_repository_names.get((account.id, name.lower()))
            if follow_renames and former_id is not None:
                return self.repository_by_id(former_id)
        return None

    def repository_by_id(self, repository_id: int) -> Repository | None:
        """Return the repository with an id, whatever its name is now."""
        account = self.find_repository_owner(repository_id)
        return _find(account, lambda repository: repository.id == repository_id)

    def repository_by_node_id(self, node_id: str) -> Repository | None:
        """Return the repository with a global node id."""
        repository_id = parse_repository_node_id(node_id)
        return None if repository_id is None else self.repository_by_id(repository_id)

    def find_repository_owner(self, repository_id: int) -> Account | None:
        """Return the account that has a repository; also one that would have it, if there is none."""
        owner_id = self._recorded_owner_ids.get(repository_id)
        if owner_id is None:
            owner_id = self._generator.find_repository_owner(repository_id)
        return None if owner_id is None else self.by_id(owner_id)

    def language_sizes(self, repository: Repository) -> dict[str, int]:
        """Return the bytes of each language of a repository, largest first."""
        if repository.recorded is not None:
            return recorded_language_sizes(repository)
        return self._generator.language_sizes(repository)

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
        self._former_logins[account.login.lower()] = account.id
        return self._store(msgspec.structs.replace(account, login=to, updated_at=now))

    def rename_repository(self, login: str, name: str, *, to: str, now: datetime) -> Account:
        """
        Change the name of an account's repository; the old name leads to it from then on.

        :raises AccountNotFound: no account has this login
        :raises RepositoryNotFound: the account has no repository of this name
        :raises RepositoryNameTaken: another repository of the account has the new name
        """
        account = self._require(login)
        if (repository := _find_by_name(account, name)) is None:
            raise RepositoryNotFound(name)
        holder = _find_by_name(account, to)
        if holder is not None and holder.id != repository.id:
            raise RepositoryNameTaken(to)
        self._former_repository_names[account.id, repository.name.lower()] = repository.id
        renamed = msgspec.structs.replace(repository, name=to, updated_at=now)
        return self._store(_with_repository(account, renamed))

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
        oldest = _find(account, lambda repository: not repository.is_fork)
        if stars is not None and oldest is not None:
            account = _with_repository(account, msgspec.structs.replace(oldest, stars=stars))
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


def _find_by_name(account: Account, name: str) -> Repository | None:
    lowered = name.lower()
    return _find(account, lambda repository: repository.name.lower() == lowered)


def _find(account: Account | None, condition: Callable[[Repository], bool]) -> Repository | None:
    return next(filter(condition, account.repositories), None) if account is not None else None


def _with_repository(account: Account, changed: Repository) -> Account:
    repositories = tuple(
        changed if repository.id == changed.id else repository
        for repository in account.repositories
    )
    return msgspec.structs.replace(account, repositories=repositories)

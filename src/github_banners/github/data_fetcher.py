"""
Fetches what only some banners show: contributions, sizes of languages, one repository, or who has a login.

Contributions need a token. The rest comes from REST without one, as far as the rate limit allows: also
that an organisation has no contributions.
"""

import time
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar
from urllib.parse import quote

from github_banners.errors import NotFound, TokenRequired, Unavailable, UnknownRepository
from github_banners.github.client import GitHubClient
from github_banners.github.contribution_history import ContributionHistory
from github_banners.github.credentials import Priority
from github_banners.github.language_sizes import (
    LanguagePage,
    build_languages_query,
    parse_languages_page,
    parse_repository_languages,
)
from github_banners.github.owner_query import build_identity_query, parse_identity
from github_banners.github.protocol import (
    MAX_PAGES,
    PAGE_SIZE,
    Failure,
    FailureKind,
    GitHubResponse,
    Resource,
)
from github_banners.github.repository_details import (
    build_repository_query,
    parse_repository,
    parse_repository_body,
)
from github_banners.github.rest import parse_owner
from github_banners.github.sender import RequestFailed, should_fall_back, with_public_errors
from github_banners.log_throttle import LogThrottle
from github_banners.models import (
    ContributionAccess,
    Contributions,
    Owner,
    Repository,
    RepositoryDetails,
    RepositoryLanguages,
)
from github_banners.tasks import map_or_cancel

T = TypeVar("T")

# For many requests in a row: a history of twenty years, or the pages of a thousand repositories.
_LONG_TIME_LIMIT = timedelta(seconds=120)
_PAGE_SIZES = (PAGE_SIZE, 50, 25)
_MAX_PARALLEL_REQUESTS = 4
# Of 60 requests an hour without a token: those that the sizes of one owner's languages leave to others.
_ANONYMOUS_RESERVE = 20


class DataFetcher:
    """Fetches with the accounts and rate limits of a `GitHubClient`."""

    def __init__(self, github: GitHubClient) -> None:
        self._sender = github.sender
        self._clock = github.clock
        self._time_limit = github.timeout
        self._throttle = LogThrottle(time.monotonic)

    async def fetch_contributions(
        self,
        owner: Owner,
        *,
        known: Contributions | None = None,
        known_at: datetime | None = None,
        priority: Priority = Priority.KNOWN_OWNER,
    ) -> Contributions:
        """
        Fetch a user's contributions of all years; for an organisation, return that it has none.

        Years that were over and complete when `known` was fetched, at `known_at` or just now, are not fetched
        again. A year without contributions may be missing from the result. The first fetch may take a minute.

        :raises TokenRequired: there is no token
        :raises UnknownUser: the owner is deleted
        :raises GitHubUnavailable: a month can't be fetched
        """
        if not self._sender.has_token():
            # A token would not help an organisation. Users are requested once.
            may_be_one = known is None or known.access is ContributionAccess.ORGANISATION
            if may_be_one and await self._is_organisation(owner, priority):
                return Contributions(access=ContributionAccess.ORGANISATION)
            raise TokenRequired
        now = self._clock()
        history = ContributionHistory(
            self._sender,
            owner,
            known=known or Contributions(),
            known_at=known_at or now,
            now=now,
            priority=priority,
        )
        return await self._with_public_errors(history.fetch(), owner.login, _LONG_TIME_LIMIT)

    async def fetch_language_sizes(
        self,
        owner: Owner,
        repositories: Sequence[Repository],
        *,
        priority: Priority = Priority.KNOWN_OWNER,
    ) -> tuple[RepositoryLanguages, ...]:
        """
        Fetch the languages of all public repositories of an owner.

        Without a token, fetch those of `repositories` only, one request for each. Those of them that
        GitHub no longer has are returned without languages.

        :raises TokenRequired: the rate limit without a token does not cover all `repositories`
        :raises UnknownUser: the owner is deleted
        :raises GitHubUnavailable: a page or a repository can't be fetched
        """
        if self._sender.has_token():
            fetching = self._fetch_language_pages(owner, priority)
        else:
            fetching = self._fetch_languages_by_rest(owner, repositories, priority)
        languages = await self._with_public_errors(fetching, owner.login, _LONG_TIME_LIMIT)
        known_ids = {sizes.repository_id for sizes in languages}
        # Otherwise a deleted repository would look like one that was never requested.
        missing = (repository for repository in repositories if repository.id not in known_ids)
        return *languages, *(RepositoryLanguages(repository.id, {}) for repository in missing)

    async def fetch_repository(
        self,
        owner: Owner,
        name: str,
        *,
        repository_id: int | None = None,
        priority: Priority = Priority.KNOWN_OWNER,
    ) -> RepositoryDetails:
        """
        Fetch one repository of an owner by id, else by a name that it has or had, if `name` is not empty.

        A private repository counts as unknown, and so does one that was transferred to another owner.

        :raises UnknownRepository: the owner has no such repository
        :raises GitHubUnavailable: the repository can't be fetched
        """
        fetching = self._fetch_repository(owner, name, repository_id, priority)
        return await self._with_public_errors(fetching, owner.login, self._time_limit)

    async def identify(self, login: str) -> Owner:
        """
        Fetch the current holder of a login, without repositories.

        :raises UnknownUser: GitHub knows no account with this login
        :raises GitHubUnavailable: the owner can't be fetched
        """
        return await self._with_public_errors(self._identify(login), login, self._time_limit)

    async def _with_public_errors(
        self, fetching: Awaitable[T], name: str, time_limit: timedelta
    ) -> T:
        return await with_public_errors(
            fetching, name=name, time_limit=time_limit, throttle=self._throttle
        )

    async def _is_organisation(self, owner: Owner, priority: Priority) -> bool:
        """Request the profile over REST; False if GitHub does not answer."""
        request = self._sender.rest_request(f"/user/{owner.id}")
        fetching = self._sender.send_with_failover(request, parse_owner, priority=priority)
        try:
            profile = await self._with_public_errors(fetching, owner.login, self._time_limit)
        except (NotFound, Unavailable):
            return False
        return profile.owner.id == owner.id and profile.followers is None

    async def _fetch_language_pages(
        self, owner: Owner, priority: Priority
    ) -> tuple[RepositoryLanguages, ...]:
        """Follow the cursor to the end, with smaller pages after one that is too heavy."""
        by_id = dict[int, RepositoryLanguages]()
        sizes, cursor, seen_cursors = list(_PAGE_SIZES), None, set[str]()
        for _ in range(MAX_PAGES):
            try:
                page = await self._fetch_language_page(owner, sizes[0], cursor, priority)
            except RequestFailed as error:
                if not error.is_too_heavy or len(sizes) == 1:
                    raise
                del sizes[0]
                continue
            by_id |= {languages.repository_id: languages for languages in page.languages}
            cursor = page.next_cursor
            if cursor is None or cursor in seen_cursors:
                break
            seen_cursors.add(cursor)
        return tuple(by_id.values())

    async def _fetch_language_page(
        self, owner: Owner, first: int, cursor: str | None, priority: Priority
    ) -> LanguagePage:
        query = build_languages_query(owner, first=first, after=cursor)
        parse = partial(parse_languages_page, owner_id=owner.id, now=self._clock())
        return await self._sender.send_with_failover(
            self._sender.graphql_request(query.to_json()), parse, priority=priority
        )

    async def _fetch_languages_by_rest(
        self, owner: Owner, repositories: Sequence[Repository], priority: Priority
    ) -> tuple[RepositoryLanguages, ...]:
        spare = self._sender.remaining(Resource.CORE, priority=priority) - _ANONYMOUS_RESERVE
        if len(repositories) > spare:
            raise TokenRequired

        async def fetch(repository: Repository) -> RepositoryLanguages | None:
            path = f"{_repository_path(owner, repository.name)}/languages"
            parse = partial(parse_repository_languages, repository_id=repository.id)
            try:
                return await self._sender.send_with_failover(
                    self._sender.rest_request(path), parse, priority=priority
                )
            except RequestFailed as error:
                # It was deleted after the list was fetched.
                if error.failure.kind is FailureKind.NOT_FOUND:
                    return None
                raise

        languages = await map_or_cancel(fetch, repositories, max_parallel=_MAX_PARALLEL_REQUESTS)
        return tuple(sizes for sizes in languages if sizes is not None)

    async def _fetch_repository(
        self, owner: Owner, name: str, repository_id: int | None, priority: Priority
    ) -> RepositoryDetails:
        try:
            if repository_id is not None:
                try:
                    return await self._fetch_repository_by_rest(
                        f"/repositories/{repository_id}", owner, priority
                    )
                except RequestFailed as error:
                    # It can have been deleted, and created again under the same name.
                    if error.failure.kind is not FailureKind.NOT_FOUND or not name:
                        raise
            return await self._fetch_repository_by_name(owner, name, priority)
        except RequestFailed as error:
            if error.failure.kind is FailureKind.NOT_FOUND:
                raise UnknownRepository(name) from error
            raise

    async def _fetch_repository_by_name(
        self, owner: Owner, name: str, priority: Priority
    ) -> RepositoryDetails:
        # In a path these would be removed, and no repository can have these names.
        if name in {".", ".."}:
            raise RequestFailed(Failure(FailureKind.NOT_FOUND))
        if self._sender.remaining(Resource.GRAPHQL, priority=priority) > 0:
            query = build_repository_query(owner, name)
            parse = partial(parse_repository, owner_id=owner.id, now=self._clock())
            try:
                return await self._sender.send_with_failover(
                    self._sender.graphql_request(query.to_json()), parse, priority=priority
                )
            except RequestFailed as error:
                if not should_fall_back(error.failure, is_known=False):
                    raise
        return await self._fetch_repository_by_rest(_repository_path(owner, name), owner, priority)

    async def _fetch_repository_by_rest(
        self, path: str, owner: Owner, priority: Priority
    ) -> RepositoryDetails:
        parse = partial(parse_repository_body, owner_id=owner.id)
        return await self._sender.send_with_failover(
            self._sender.rest_request(path), parse, priority=priority
        )

    async def _identify(self, login: str) -> Owner:
        priority = Priority.UNKNOWN_LOGIN
        if self._sender.remaining(Resource.GRAPHQL, priority=priority) > 0:
            body = build_identity_query(login).to_json()
            try:
                return await self._sender.send_with_failover(
                    self._sender.graphql_request(body),
                    partial(parse_identity, now=self._clock()),
                    priority=priority,
                )
            except RequestFailed as error:
                if not should_fall_back(error.failure, is_known=False):
                    raise
        request = self._sender.rest_request(f"/users/{quote(login, safe='')}")
        return await self._sender.send_with_failover(request, _parse_holder, priority=priority)


def _repository_path(owner: Owner, name: str) -> str:
    return f"/repos/{quote(owner.login, safe='')}/{quote(name, safe='')}"


def _parse_holder(response: GitHubResponse) -> Owner | Failure:
    profile = parse_owner(response)
    return profile if isinstance(profile, Failure) else profile.owner

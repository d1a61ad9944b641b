"""
Fetches the contributions of one user: the latest two years first, then the years before that are not known.

A query for several years that is too heavy for GitHub is repeated year by year, and a year in halves,
quarters and months. Zeros in place of numbers seen before are requested a second time.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from github_banners.github.contributions import (
    MAX_WINDOWS,
    ContributionPage,
    Window,
    build_query,
    build_year,
    is_final,
    merge_years,
    parse_page,
    whole_year,
)
from github_banners.github.credentials import Priority
from github_banners.github.sender import RequestFailed, Sender
from github_banners.models import ContributionAccess, Contributions, ContributionYear, Owner
from github_banners.tasks import map_or_cancel

_MAX_PARALLEL_QUERIES = 3


class ContributionHistory:
    """One fetch of one user's contributions at `now`; `known` are those of the fetch at `known_at`."""

    def __init__(
        self,
        sender: Sender,
        owner: Owner,
        *,
        known: Contributions,
        known_at: datetime,
        now: datetime,
        priority: Priority,
    ) -> None:
        self._sender = sender
        self._owner = owner
        self._known = {year.year: year for year in known.years}
        self._known_at = known_at
        self._now = now
        self._priority = priority

    async def fetch(self) -> Contributions:
        """
        Fetch the years that are not known or can still change, and return all of them.

        :raises RequestFailed: GitHub refused even a single month, or could not be reached
        """
        latest = [year for year in (self._now.year, self._now.year - 1) if not self._is_final(year)]
        page, fetched = await self._fetch_years(latest)
        if page.is_organisation:
            return Contributions(access=ContributionAccess.ORGANISATION)
        earlier = [
            year
            for year in sorted({*page.years, *self._known}, reverse=True)
            if year < self._now.year - 1 and not self._is_final(year)
        ]
        chunks = [
            earlier[start : start + MAX_WINDOWS] for start in range(0, len(earlier), MAX_WINDOWS)
        ]
        for _, years in await map_or_cancel(
            self._fetch_years, chunks, max_parallel=_MAX_PARALLEL_QUERIES
        ):
            fetched += years
        fetched = [await self._confirm(year) for year in fetched]
        if page.looks_private and not any(any(year.days) for year in fetched):
            return await self._confirm_hidden(fetched)
        return merge_years(self._known.values(), fetched)

    def _is_final(self, year: int) -> bool:
        return is_final(self._known.get(year), fetched_at=self._known_at)

    async def _confirm(self, fetched: ContributionYear) -> ContributionYear:
        """Fetch a year again, in halves, that is empty and was not before."""
        known = self._known.get(fetched.year)
        if any(fetched.days) or known is None or not any(known.days):
            return fetched
        window = whole_year(fetched.year, today=self._now.date())
        halves = [await self._fetch_window(half) for half in window.split() or [window]]
        return self._build_year(fetched.year, [page for pages in halves for page in pages])

    async def _confirm_hidden(self, fetched: Sequence[ContributionYear]) -> Contributions:
        """Report a private profile, unless the latest year with contributions still has them."""
        fetched_years = {year.year for year in fetched}
        # Empty years that were fetched have been confirmed already.
        visible = [
            year
            for year in self._known.values()
            if any(year.days) and year.year not in fetched_years
        ]
        if visible:
            latest = max(visible, key=lambda year: year.year)
            _, again = await self._fetch_years([latest.year])
            if any(any(year.days) for year in again):
                return merge_years(self._known.values(), [*fetched, *again])
        return Contributions(access=ContributionAccess.HIDDEN)

    async def _fetch_years(
        self, years: Sequence[int]
    ) -> tuple[ContributionPage, list[ContributionYear]]:
        """Fetch at most `MAX_WINDOWS` years, and return one of the responses with them."""
        windows = [whole_year(year, today=self._now.date()) for year in years]
        if len(windows) > 1:
            try:
                page = await self._send(windows)
            except RequestFailed as error:
                if not error.is_too_heavy:
                    raise
            else:
                counted = zip(years, page.counts, strict=True)
                today = self._now.date()
                return page, [build_year(year, [counts], today=today) for year, counts in counted]
        pages = [await self._fetch_window(window) for window in windows]
        fetched = [self._build_year(year, parts) for year, parts in zip(years, pages, strict=True)]
        return pages[0][0], fetched

    async def _fetch_window(self, window: Window) -> list[ContributionPage]:
        """Fetch a window, in parts if it is too heavy; the first month that fails ends the fetch."""
        try:
            return [await self._send([window])]
        except RequestFailed as error:
            if not error.is_too_heavy or not window.split():
                raise
        parts = [await self._fetch_window(part) for part in window.split()]
        return [page for pages in parts for page in pages]

    async def _send(self, windows: Sequence[Window]) -> ContributionPage:
        query = build_query(self._owner, windows, now=self._now)
        parse = partial(parse_page, windows=windows, owner_id=self._owner.id, now=self._now)
        request = self._sender.graphql_request(query.to_json())
        return await self._sender.send_with_failover(request, parse, priority=self._priority)

    def _build_year(self, year: int, pages: Sequence[ContributionPage]) -> ContributionYear:
        parts = [counts for page in pages for counts in page.counts]
        return build_year(year, parts, today=self._now.date())

"""
What a process knows of owners without asking anybody: numbers, names, and who refused to answer.

Bounded in bytes. Decides how far its own memory may be trusted; asks neither database nor GitHub.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from github_banners.cache.lru import ByteBoundedLru
from github_banners.errors import BannersError, UnknownUser
from github_banners.models import Clock, Snapshot, without_implausible_times
from github_banners.stats.freshness import Freshness, Ttls, classify_freshness, select_newer
from github_banners.stats.invalidations import Invalidations

_NEVER = datetime.min.replace(tzinfo=UTC)
_MAX_LOGINS_BYTES = 4 << 20
_SNAPSHOT_BYTES = 600
_LANGUAGE_BYTES = 80
_CACHED_ERROR_BYTES = 600
# Two for each that comes: what has expired goes faster than new ones come.
_MAX_EVICTIONS_PER_PUT = 2


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """A snapshot; `validated_at` is when PostgreSQL was last known to have nothing newer."""

    snapshot: Snapshot
    validated_at: datetime


class _LoginOwner(msgspec.Struct, frozen=True, gc=False):
    """Who holds a name, or held it last; `requested_at` is when GitHub was asked by this very name."""

    owner_id: int
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class _CachedError:
    """
    A failure that is remembered for a short while, so that nobody hammers at GitHub.

    `error` is a copy that is never raised, so that it holds no frames: 200 bytes and not 20 KB.
    """

    error: BannersError
    expires_at: datetime


class SnapshotCache:
    """The memory of one process; a subject is an owner's id, or a name whose owner is not known."""

    def __init__(
        self, *, ttls: Ttls, invalidations: Invalidations, clock: Clock, max_bytes: int
    ) -> None:
        self._ttls = ttls
        self._invalidations = invalidations
        self._clock = clock
        self._entries: ByteBoundedLru[int, _Entry] = ByteBoundedLru(
            max_bytes, entry_bytes=_entry_bytes
        )
        self._login_owners: ByteBoundedLru[str, _LoginOwner] = ByteBoundedLru(
            _MAX_LOGINS_BYTES, entry_bytes=lambda *_: 0
        )
        self._errors: ByteBoundedLru[str | int, _CachedError] = ByteBoundedLru(
            _MAX_LOGINS_BYTES, entry_bytes=_cached_error_bytes
        )

    def get(self, owner_id: int) -> Snapshot | None:
        """Give the last numbers of an owner, however old."""
        entry = self._entries.get(owner_id)
        if entry is None:
            return None
        return without_implausible_times(entry.snapshot, now=self._clock())

    def get_by_login(self, login: str) -> Snapshot | None:
        """Give the last numbers of whoever held a name last."""
        holder = self._login_owners.get(login.lower())
        return self.get(holder.owner_id) if holder is not None else None

    def put(self, snapshot: Snapshot, *, validated_at: datetime | None = None) -> Snapshot:
        """
        Remember what PostgreSQL or GitHub has said; returns the newest that is known then.

        `validated_at` is when PostgreSQL was asked: a change may be heard before the answer arrives.
        """
        known = self.get(snapshot.owner.id)
        newest = select_newer(known, snapshot) if known is not None else snapshot
        self._entries.put(newest.owner.id, _Entry(newest, validated_at or self._clock()))
        self.put_login(newest.owner.login, newest.owner.id, requested_at=newest.fetched_at)
        if not newest.is_deleted and isinstance(self.cached_error(newest.owner.id), UnknownUser):
            self._errors.drop(newest.owner.id)
        return newest

    def put_login(self, login: str, owner_id: int, *, requested_at: datetime = _NEVER) -> None:
        """Remember who holds a name, and when GitHub was asked by it."""
        holder = self._login_owners.get(login.lower())
        if holder is not None and holder.owner_id == owner_id:
            requested_at = max(requested_at, holder.requested_at)
        self._login_owners.put(login.lower(), _LoginOwner(owner_id, requested_at))

    def cache_error(self, key: str | int, error: BannersError, *, ttl: timedelta) -> None:
        """Remember a failure for a while, in the place of some whose time is over."""
        for _ in range(_MAX_EVICTIONS_PER_PUT):
            oldest = self._errors.oldest()
            if oldest is None or oldest[1].expires_at > self._clock():
                break
            self._errors.drop(oldest[0])
        self._errors.put(key, _CachedError(error.copy(), self._clock() + ttl))

    def cached_error(self, key: str | int) -> BannersError | None:
        """Return a fresh copy of the failure that is remembered of a subject, to be raised."""
        refusal = self._errors.get(key)
        if refusal is None:
            return None
        if refusal.expires_at <= self._clock():
            self._errors.drop(key)
            return None
        return refusal.error.copy()

    def is_current(self, snapshot: Snapshot) -> bool:
        """Tell whether neither PostgreSQL nor GitHub need be asked about an owner."""
        return self._clock() < self.fresh_until(snapshot)

    def fresh_until(self, snapshot: Snapshot) -> datetime:
        """Tell until when a snapshot needs no second look; now or earlier if it needs one."""
        entry = self._entries.get(snapshot.owner.id)
        if entry is None or self.classify(snapshot) is not Freshness.FRESH:
            return _NEVER
        if self.is_invalidated(snapshot.owner.id):
            return _NEVER
        return min(snapshot.fetched_at + self._ttls.soft, entry.validated_at + self._ttls.memory)

    def is_invalidated(self, owner_id: int) -> bool:
        """Tell whether another process may have changed an owner since PostgreSQL was asked."""
        entry = self._entries.get(owner_id)
        return entry is None or not self._invalidations.is_unchanged(
            owner_id, since=entry.validated_at
        )

    def classify(self, snapshot: Snapshot, *, login: str | None = None) -> Freshness:
        """Judge numbers by their age; by a name that was given up, also by when that was asked for."""
        if snapshot.is_deleted:
            return Freshness.HARD_STALE
        now = self._clock()
        freshness = classify_freshness(snapshot.fetched_at, self._ttls, now=now)
        if freshness is not Freshness.FRESH or login is None:
            return freshness
        holder = self._login_owners.get(login.lower())
        is_former = login.lower() != snapshot.owner.login.lower()
        if is_former and (holder is None or now - holder.requested_at >= self._ttls.soft):
            return Freshness.SOFT_STALE
        return freshness


def _entry_bytes(_: int, entry: _Entry) -> int:
    return _SNAPSHOT_BYTES + _LANGUAGE_BYTES * len(entry.snapshot.stats.languages)


def _cached_error_bytes(_: str | int, cached_error: _CachedError) -> int:
    return _CACHED_ERROR_BYTES + sum(len(str(part)) for part in cached_error.error.args)

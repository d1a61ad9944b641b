"""
What a process knows of owners without asking anybody: numbers, names, and who refused to answer.

Bounded in bytes. Decides how far its own memory may be trusted; asks neither database nor GitHub.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from github_banners.errors import BannersError, UnknownUser
from github_banners.model import Clock, Snapshot, without_wrong_times
from github_banners.stats.freshness import Freshness, Ttls, judge, later
from github_banners.stats.memory import Memory
from github_banners.stats.trust import Trust

_NEVER = datetime.min.replace(tzinfo=UTC)
_NAMES_BYTES = 4 << 20
_SNAPSHOT_BYTES = 600
_LANGUAGE_BYTES = 80
_REFUSAL_BYTES = 600
# Two for each that comes: what has expired goes faster than new ones come.
_DROPPED_AT_ONCE = 2


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """A snapshot; `compared_at` is when PostgreSQL was last known to have nothing newer."""

    snapshot: Snapshot
    compared_at: datetime


class _Holder(msgspec.Struct, frozen=True, gc=False):
    """Who holds a name, or held it last; `asked_at` is when GitHub was asked by this very name."""

    owner_id: int
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class _Refusal:
    """
    A failure that is remembered for a short while, so that nobody hammers at GitHub.

    `error` is a copy that is never raised, so that it holds no frames: 200 bytes and not 20 KB.
    """

    error: BannersError
    until: datetime


class Known:
    """The memory of one process; a subject is an owner's id, or a name whose owner is not known."""

    def __init__(self, *, ttls: Ttls, trust: Trust, clock: Clock, limit_bytes: int) -> None:
        self._ttls = ttls
        self._trust = trust
        self._clock = clock
        self._entries: Memory[int, _Entry] = Memory(limit_bytes, bytes_of=_entry_bytes)
        self._holders: Memory[str, _Holder] = Memory(_NAMES_BYTES, bytes_of=lambda *_: 0)
        self._refusals: Memory[str | int, _Refusal] = Memory(_NAMES_BYTES, bytes_of=_refusal_bytes)

    def get(self, owner_id: int) -> Snapshot | None:
        """Give the last numbers of an owner, however old."""
        entry = self._entries.get(owner_id)
        if entry is None:
            return None
        return without_wrong_times(entry.snapshot, now=self._clock())

    def by_name(self, name: str) -> Snapshot | None:
        """Give the last numbers of whoever held a name last."""
        holder = self._holders.get(name.lower())
        return self.get(holder.owner_id) if holder is not None else None

    def note(self, snapshot: Snapshot, *, compared_at: datetime | None = None) -> Snapshot:
        """
        Remember what PostgreSQL or GitHub has said; returns the newest that is known then.

        `compared_at` is when PostgreSQL was asked: a change may be heard before the answer arrives.
        """
        known = self.get(snapshot.owner.id)
        newest = later(known, snapshot) if known is not None else snapshot
        self._entries.put(newest.owner.id, _Entry(newest, compared_at or self._clock()))
        self.note_name(newest.owner.login, newest.owner.id, asked_at=newest.fetched_at)
        if not newest.is_gone and isinstance(self.refusal(newest.owner.id), UnknownUser):
            self._refusals.drop(newest.owner.id)
        return newest

    def note_name(self, name: str, owner_id: int, *, asked_at: datetime = _NEVER) -> None:
        """Remember who holds a name, and when GitHub was asked by it."""
        holder = self._holders.get(name.lower())
        if holder is not None and holder.owner_id == owner_id:
            asked_at = max(asked_at, holder.asked_at)
        self._holders.put(name.lower(), _Holder(owner_id, asked_at))

    def refuse(self, subject: str | int, error: BannersError, *, during: timedelta) -> None:
        """Remember a failure for a while, in the place of some whose time is over."""
        for _ in range(_DROPPED_AT_ONCE):
            oldest = self._refusals.oldest()
            if oldest is None or oldest[1].until > self._clock():
                break
            self._refusals.drop(oldest[0])
        self._refusals.put(subject, _Refusal(error.copy(), self._clock() + during))

    def refusal(self, subject: str | int) -> BannersError | None:
        """Return a fresh copy of the failure that is remembered of a subject, to be raised."""
        refusal = self._refusals.get(subject)
        if refusal is None:
            return None
        if refusal.until <= self._clock():
            self._refusals.drop(subject)
            return None
        return refusal.error.copy()

    def is_settled(self, snapshot: Snapshot) -> bool:
        """Tell whether neither PostgreSQL nor GitHub need be asked about an owner."""
        return self._clock() < self.good_until(snapshot)

    def good_until(self, snapshot: Snapshot) -> datetime:
        """Tell until when a snapshot needs no second look; now or earlier if it needs one."""
        entry = self._entries.get(snapshot.owner.id)
        if entry is None or self.judge(snapshot) is not Freshness.FRESH:
            return _NEVER
        if self.has_changed(snapshot.owner.id):
            return _NEVER
        return min(snapshot.fetched_at + self._ttls.soft, entry.compared_at + self._ttls.memory)

    def has_changed(self, owner_id: int) -> bool:
        """Tell whether another process may have changed an owner since PostgreSQL was asked."""
        entry = self._entries.get(owner_id)
        return entry is None or not self._trust.allows(owner_id, since=entry.compared_at)

    def judge(self, snapshot: Snapshot, *, name: str | None = None) -> Freshness:
        """Judge numbers by their age; by a name that was given up, also by when that was asked for."""
        if snapshot.is_gone:
            return Freshness.HARD_STALE
        now = self._clock()
        freshness = judge(snapshot.fetched_at, self._ttls, now=now)
        if freshness is not Freshness.FRESH or name is None:
            return freshness
        holder = self._holders.get(name.lower())
        is_former = name.lower() != snapshot.owner.login.lower()
        if is_former and (holder is None or now - holder.asked_at >= self._ttls.soft):
            return Freshness.SOFT_STALE
        return freshness


def _entry_bytes(_: int, entry: _Entry) -> int:
    return _SNAPSHOT_BYTES + _LANGUAGE_BYTES * len(entry.snapshot.stats.languages)


def _refusal_bytes(_: str | int, refusal: _Refusal) -> int:
    return _REFUSAL_BYTES + sum(len(str(part)) for part in refusal.error.args)

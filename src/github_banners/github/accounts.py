"""
Which account may pay for a question: pure bookkeeping, no I/O.

GitHub's budget belongs to the account, not to the token, and REST and GraphQL are counted apart.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from github_banners.github.protocol import Failure, FailureKind, Resource, Room
from github_banners.settings import Secret

_ANONYMOUS_LIMITS = {Resource.CORE: 60, Resource.GRAPHQL: 0}
_TOKEN_LIMIT = 5000
_STRIKES = 3
_BAD_TOKEN_PAUSE = timedelta(seconds=30)
_HOPELESS_PAUSE = timedelta(hours=1)


@dataclass(slots=True)
class Account:
    """
    One payer: its token (None: the address's own small ration), what is left, when it may pay again.

    `name` is safe to log: the beginning of the token's SHA-256.
    """

    token: Secret | None
    rooms: dict[Resource, Room] = field(default_factory=dict)
    parked_until: dict[Resource, datetime] = field(default_factory=dict)
    under_way: Counter[Resource] = field(default_factory=Counter)
    strikes: int = 0

    @property
    def name(self) -> str:
        """Name the account in logs."""
        if self.token is None:
            return "anonymous"
        return hashlib.sha256(self.token.reveal().encode()).hexdigest()[:8]

    def room(self, resource: Resource, *, now: datetime) -> int:
        """Count what this account can still pay for; a reset that has passed fills it up."""
        room = self.rooms.get(resource)
        if room is not None and room.reset_at > now:
            return room.remaining - self.under_way[resource]
        usual = _ANONYMOUS_LIMITS[resource] if self.token is None else _TOKEN_LIMIT
        # A limit of zero is told to whom GitHub did not recognise: not for good.
        limit = room.limit if room is not None else 0
        return (limit or usual) - self.under_way[resource]

    def may_pay(self, resource: Resource, *, now: datetime) -> bool:
        """Tell whether to ask with this account now."""
        return not self._is_parked(resource, now=now) and self.room(resource, now=now) > 0

    @contextmanager
    def paying(self, resource: Resource) -> Iterator[None]:
        """Count a question while it is on its way, so that parallel ones don't spend the same room."""
        self.under_way[resource] += 1
        try:
            yield
        finally:
            self.under_way[resource] -= 1

    def note_room(self, room: Room) -> None:
        """Take what an answer says is left; answers can overtake each other, so the least counts."""
        known = self.rooms.get(room.resource)
        if known is not None and known.reset_at > room.reset_at:
            return
        if known is not None and known.reset_at == room.reset_at:
            room = min(known, room, key=lambda one: one.remaining)
        self.rooms[room.resource] = room

    def note_success(self) -> None:
        """Forget earlier refusals of the token."""
        self.strikes = 0

    def note_failure(self, failure: Failure, resource: Resource, *, now: datetime) -> None:
        """Leave the account alone as long as a refusal asks for; others do not concern it."""
        if failure.kind is FailureKind.PRIMARY_LIMIT:
            self._park(failure.until, resource)
        elif failure.kind is FailureKind.SECONDARY_LIMIT:
            # A secondary limit speaks of the account as a whole.
            self._park(failure.until, *Resource)
        elif failure.kind is FailureKind.BAD_TOKEN:
            # GitHub has been seen to refuse good tokens for a while: three in a row, apart in time,
            # so what was already on its way when the first refusal came is not counted.
            self.strikes += not self._is_parked(resource, now=now)
            pause = _BAD_TOKEN_PAUSE if self.strikes < _STRIKES else _HOPELESS_PAUSE
            self._park(now + pause, *Resource)
        elif failure.kind is FailureKind.SUSPENDED:
            self._park(now + _HOPELESS_PAUSE, *Resource)

    def _is_parked(self, resource: Resource, *, now: datetime) -> bool:
        return resource in self.parked_until and self.parked_until[resource] > now

    def _park(self, until: datetime | None, *resources: Resource) -> None:
        if until is None:
            return
        for resource in resources:
            self.parked_until[resource] = max(until, self.parked_until.get(resource, until))


def accounts_of(tokens: Sequence[Secret]) -> list[Account]:
    """Make an account of every token given, and the anonymous one for when none can pay."""
    return [Account(token) for token in dict.fromkeys(tokens)] + [Account(None)]


def choose(accounts: Sequence[Account], resource: Resource, *, now: datetime) -> Account | None:
    """Pick the account with the most room; None when nobody can pay."""
    payers = [one for one in accounts if one.may_pay(resource, now=now)]
    # The anonymous ration is the last resort however much of it is left.
    return max(
        payers,
        key=lambda one: (one.token is not None, one.room(resource, now=now)),
        default=None,
    )

"""
Answers from memory, before the framework is asked: no lock, no await, no parsing.

Remembers which picture an address meant last time. Addresses have a memory of their own, so that
invented ones (cache busters) can push out nothing but each other.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from github_banners.api.delivery import Picture, deliver_raw
from github_banners.api.pictures import Kept, Key, Pictures
from github_banners.model import Clock
from github_banners.stats.memory import Memory

Target: TypeAlias = tuple[bytes, bytes]
"""A raw path and a raw query."""

Turn: TypeAlias = Callable[[Picture], Picture | None]
"""Finds another form of a drawing, if it lies in memory."""

FORMS = (_PICTURE, _UNCHANGED) = ("picture", "not modified")
"""How an answer from memory is counted."""

_TARGETS_BYTES = 16 << 20
_LONGEST_BYTES = 1024
_MEANING_BYTES = 400  # with the tuple and the two texts of its address


@dataclass(frozen=True, slots=True)
class Meaning:
    """Which picture an address means; not for ever, as a login can change hands."""

    key: Key
    good_until: datetime
    banner: str | None
    turn: Turn | None


@dataclass(frozen=True, slots=True)
class Hot:
    """What the addresses mean, and the pictures."""

    pictures: Pictures
    clock: Clock
    soft_seconds: float
    targets: Memory[Target, Meaning]
    requested_at: dict[str, datetime]

    def note(
        self, scope: Scope, key: Key, *, banner: str | None = None, turn: Turn | None = None
    ) -> None:
        """
        Remember which picture an address means; `banner` is its permanent name, if it has one.

        `turn` finds the form that the address asks for, where that is not the drawing itself.
        """
        self._count(banner)
        target, kept = _target(scope), self.pictures.get(key)
        if kept is not None and sum(map(len, target)) <= _LONGEST_BYTES:
            self.targets.put(target, Meaning(key, kept.good_until, banner, turn))

    def find(self, scope: HTTPScope) -> Kept | None:
        """Find the picture that an address meant last time, if it needs no second look."""
        meaning = self.targets.get(_target(scope))
        if meaning is None or meaning.good_until <= self.clock():
            return None
        self._count(meaning.banner)
        kept = self.pictures.get(meaning.key)
        return kept if kept is None or meaning.turn is None else _turned(kept, meaning.turn)

    def take_requests(self) -> dict[str, datetime]:
        """Hand over which permanent banners were asked for, and when, since the last time."""
        taken = dict(self.requested_at)
        self.requested_at.clear()
        return taken

    def give_back(self, requests: Mapping[str, datetime]) -> None:
        """Take back what could not be written down; what was asked for meanwhile is later."""
        for banner, at in requests.items():
            self.requested_at.setdefault(banner, at)

    def _count(self, banner: str | None) -> None:
        if banner is not None:
            self.requested_at[banner] = self.clock()

    def seconds_fresh(self, fetched_at: datetime) -> int:
        """Count the seconds until numbers of this age are refreshed."""
        return int(self.soft_seconds - (self.clock() - fetched_at).total_seconds())


def make_hot(pictures: Pictures, *, clock: Clock, soft_seconds: float) -> Hot:
    """Start with an empty memory of addresses."""
    targets: Memory[Target, Meaning] = Memory(
        _TARGETS_BYTES, bytes_of=lambda target, _: _MEANING_BYTES + sum(map(len, target))
    )
    return Hot(pictures, clock, soft_seconds, targets, {})


class HotPath:
    """Middleware in front of everything: a picture from memory, or the framework."""

    def __init__(self, app: ASGIApp, *, hot: Hot, count: Callable[[str], None]) -> None:
        self._app = app
        self._hot = hot
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `GET` and `HEAD` of a known address; pass on all else."""
        if scope["type"] == ScopeType.HTTP and scope["method"] in {"GET", "HEAD"}:
            kept = self._hot.find(scope)
            if kept is not None:
                await self._answer(kept, scope, send)
                return
        await self._app(scope, receive, send)

    async def _answer(self, kept: Kept, scope: HTTPScope, send: Send) -> None:
        status, headers, body = deliver_raw(
            kept.picture,
            *_conditions(scope["headers"]),
            seconds_fresh=self._hot.seconds_fresh(kept.fetched_at),
        )
        await send({"type": "http.response.start", "status": status, "headers": headers})
        self._count(_UNCHANGED if status == 304 else _PICTURE)
        sent = body if scope["method"] == "GET" else b""
        await send({"type": "http.response.body", "body": sent, "more_body": False})


def _turned(kept: Kept, turn: Turn) -> Kept | None:
    picture = turn(kept.picture)
    return replace(kept, picture=picture) if picture is not None else None


def _target(scope: Scope) -> Target:
    return scope["raw_path"], scope["query_string"]


def _conditions(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """Pick `Accept-Encoding` and `If-None-Match`."""
    accept_encoding = if_none_match = b""
    for name, value in headers:
        if name == b"accept-encoding":
            accept_encoding = value
        elif name == b"if-none-match":
            if_none_match = value
    return accept_encoding.decode("latin-1"), if_none_match.decode("latin-1")

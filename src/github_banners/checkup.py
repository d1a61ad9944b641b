"""
A look at the whole set-up before it serves: settings, database, banners, neighbours, GitHub, tokens.

Does what the service does, as far as it can be undone: listens on the ports, writes a file and removes
it, writes a row and takes it back. Starts nothing, leaves nothing, and shows of a token no more than the beginning of its SHA-256.
"""

import asyncio
import os
import shutil
import tempfile
import textwrap
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from github_banners.database.condition import find_embedded
from github_banners.database.inspection import (
    Condition,
    count_rows_ahead,
    inspect,
    try_writing,
)
from github_banners.errors import (
    BannersError,
    DatabaseUnavailable,
    Misconfigured,
)
from github_banners.github import rest
from github_banners.github.accounts import Key, accounts_of, join
from github_banners.github.graphql import Viewer
from github_banners.github.holders import ask_holder
from github_banners.github.protocol import Failure, FailureKind, Resource, Room
from github_banners.github.sender import Refused, Sender
from github_banners.github.transport import open_http
from github_banners.look import Look
from github_banners.messages import calls
from github_banners.messages.events import TOPIC
from github_banners.messages.signing import Signer
from github_banners.messages.topics import partitions_of
from github_banners.model import Clock, Owner, Snapshot, Stats
from github_banners.serving.server import open_listener, request_path
from github_banners.serving.terminal import escape_controls
from github_banners.settings import Service, Settings
from github_banners.settings.addresses import to_netloc
from github_banners.storage.store import folder_of

_WIDTH = 80
_EXPIRY_WARNING = timedelta(days=14)
_NEIGHBOUR_TIMEOUT = timedelta(seconds=5)
_LEAST_FREE_MIB = 64
_PORT_SECONDS = 2.0
_PROBE = bytes(4096)
_REFUSALS = {
    FailureKind.BAD_TOKEN: "is refused: revoked, expired or mistyped",
    FailureKind.SUSPENDED: "is refused: its account is suspended",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A part of the set-up in a few words; `is_broken` where it does not work."""

    part: str
    words: str
    is_broken: bool = False


@dataclass(slots=True)
class TokenFinding:
    """What GitHub says of a token; `failure` is why it does not say more."""

    key: Key
    standing: rest.Standing | None = None
    holder: Viewer | None = None
    failure: Failure | None = None

    @property
    def is_broken(self) -> bool:
        """Tell whether nothing can be asked with this token."""
        return self.standing is None and self.failure is not None


@dataclass(frozen=True, slots=True)
class Checkup:
    """All that was found, at one moment."""

    parts: Sequence[Finding]
    tokens: Sequence[TokenFinding]
    at: datetime
    warnings: Sequence[str] = ()

    @property
    def is_well(self) -> bool:
        """Tell whether everything that is needed works."""
        are_broken = [one.is_broken for one in self.parts] + [one.is_broken for one in self.tokens]
        return not any(are_broken)

    def to_text(self) -> str:
        """Write it down for a person; notes in lines of 80 columns where names allow it."""
        lines = [*_aligned([(one.part, one.words) for one in self.parts]), ""]
        if rows := [_row(one) for one in self.tokens if not one.is_broken]:
            head = ("token", "account", "left for REST", "left for GraphQL")
            lines += [*_aligned([head, *rows]), ""]
        notes = [f"Warning: {warning}." for warning in self.warnings]
        notes += [note for one in self.tokens for note in _notes(one, at=self.at)]
        notes += _shared(self.tokens)
        lines += [*map(_wrapped, notes), *[""] * bool(notes)]
        verdict = "Everything that is needed works." if self.is_well else "Not everything works."
        return "\n".join([*lines, f"{verdict} Times are UTC."])


async def check_up(
    settings: Settings,
    *,
    chosen: Sequence[str],
    warnings: Sequence[str] = (),
    database_dir: Path,
    banners_dir: Path,
    clock: Clock,
) -> Checkup:
    """
    Ask everything that the service would ask.

    `chosen` names the variables that are set, `warnings` are sentences about them; the folders are
    those of the embedded database and of drawn banners where settings name no other.
    """
    words = f"fine; set: {', '.join(chosen)}" if chosen else "fine; none is set"
    parts = [
        Finding("settings", words),
        *(await _check_ports(settings)),
        await _check_database(settings, database_dir, clock=clock),
        *(await _check_neighbours(settings, clock=clock)),
    ]
    if settings.storage_base_url is None:
        name = "BANNERS_STORAGE_URL" if settings.banners_storage_url else "DATA_DIR"
        folder = folder_of(settings.banners_storage_url or banners_dir.as_uri())
        parts.append(_check_folder("banners", folder, name=name))
    tokens = await _check_tokens(settings, clock=clock)
    return Checkup([*parts, _github(settings, tokens)], tokens, clock(), warnings)


async def _check_ports(settings: Settings) -> list[Finding]:
    """Listen for a moment where the service will, or find that it listens there already."""
    found = []
    ports = {"PORT": settings.port, "METRICS_PORT": settings.metrics_port}
    for name, port in ports.items():
        if not port:
            continue
        netloc = to_netloc(settings.host, port)
        try:
            open_listener(settings.host, port, name=name).close()
            found.append(Finding(name, f"{netloc} is free"))
        except Misconfigured as error:
            if await _is_ours(settings.host, port):
                found.append(Finding(name, f"{netloc} is used by a github-banners that runs"))
            else:
                found.append(Finding(name, str(error), is_broken=True))
    return found


async def _is_ours(host: str, port: int) -> bool:
    """Return whether a service of ours answers on a port; METRICS_PORT has only its metrics."""
    try:
        async with asyncio.timeout(_PORT_SECONDS):
            health = await request_path(host, port, "/healthz")
            metrics = await request_path(host, port, "/metrics")
    except (OSError, TimeoutError):
        return False
    return b'"status":"alive"' in health or b"\nbanners_" in metrics


async def _check_database(settings: Settings, data_dir: Path, *, clock: Clock) -> Finding:
    place = f"at {settings.database_address}"
    try:
        conninfo = settings.conninfo
        if conninfo is None:
            place = f"embedded, in {data_dir}"
            conninfo = find_embedded(data_dir)
        if conninfo is None:
            folder = _check_folder("database", data_dir)
            words = f"{place}: not running, `serve` starts it"
            return folder if folder.is_broken else Finding("database", words)
        condition = await inspect(conninfo)
        if condition.problem is None and not condition.is_behind:
            await try_writing(conninfo, condition)
            rows_ahead = await count_rows_ahead(conninfo, condition, now=clock())
            return _judge(condition, place, rows_ahead=rows_ahead)
        return _judge(condition, place)
    except Misconfigured as error:
        return Finding("database", f"does not work: {error}", is_broken=True)
    except DatabaseUnavailable as error:
        return Finding("database", f"{place}, does not answer: {error}", is_broken=True)


def _judge(condition: Condition, place: str, *, rows_ahead: int = 0) -> Finding:
    text = f"PostgreSQL {condition.version} {place}"
    if condition.problem is not None:
        return Finding("database", f"{text} can't be used: {condition.problem}", is_broken=True)
    if condition.is_behind:
        state = "no tables yet" if condition.revision is None else "older tables"
        return Finding("database", f"{text}: {state}, `serve` and `migrate` bring them up to date")
    text += ": tables up to date"
    if rows_ahead:
        text += f"; {rows_ahead:,} rows have times of a clock that was ahead, saves will mend them"
    return Finding("database", text)


def _check_folder(part: str, folder: Path, *, name: str = "DATA_DIR") -> Finding:
    """Write a file to a folder, or to the one it will be made in, and remove it; `name` has set it."""
    ancestors = (folder, *folder.parents)
    try:
        there = next(path for path in ancestors if path.exists() or path.is_symlink())
        with tempfile.NamedTemporaryFile(dir=there, prefix=".github-banners-check-") as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
        free_mib = shutil.disk_usage(there).free >> 20
    except OSError as error:
        words = (
            f"{folder} can't be used: {error.strerror}: set {name} to a folder that can be written"
        )
        return Finding(part, words, is_broken=True)
    words = f"kept in {folder}, {free_mib:,} MiB free"
    if free_mib < _LEAST_FREE_MIB:
        return Finding(part, f"{words}: that is too little", is_broken=True)
    return Finding(part, words)


async def _check_neighbours(settings: Settings, *, clock: Clock) -> list[Finding]:
    """Call, as the api does, every service that the settings name."""
    found = []
    signer = Signer(settings.signing_keys[0], service=Service.API, clock=clock)
    async with calls.open_http(timeout=_NEIGHBOUR_TIMEOUT) as http:
        if url := settings.renderer_base_url:
            renderer = calls.Renderer(http, base_url=url, signer=signer)
            drawing = renderer.draw(_example(clock), Look())
            found.append(await _check_call("renderer", f"{url} draws", drawing))
        if url := settings.storage_base_url:
            storage = calls.Storage(http, base_url=url, signer=signer)
            found.append(await _check_call("storage", f"{url} can be read", storage.get("check")))
    if brokers := settings.kafka_brokers_addrs:
        words = f"{', '.join(brokers)} has {TOPIC}"
        found.append(await _check_call("Kafka", words, partitions_of(brokers, TOPIC)))
    return found


async def _check_call(part: str, words: str, call: Awaitable[object]) -> Finding:
    try:
        await call
    except BannersError as error:
        return Finding(part, f"does not work: {error}", is_broken=True)
    return Finding(part, words)


def _example(clock: Clock) -> Snapshot:
    return Snapshot(Owner(0, "check", None, None), Stats(0, 0, 0, 0, 0, {}), clock())


async def _check_tokens(settings: Settings, *, clock: Clock) -> list[TokenFinding]:
    """Ask about every token, one after another; without any, about the address's own ration."""
    accounts = accounts_of(settings.github_tokens)
    keys = [key for account in accounts for key in account.keys]
    found: list[TokenFinding] = []
    async with open_http(timeout=settings.request_timeout, api_url=settings.github_api_url) as http:
        sender = Sender(http, api_url=settings.github_api_url, accounts=accounts, clock=clock)
        for key in keys[:-1] or keys:
            found.append(await _check_token(sender, key, clock=clock))
            # Who does not answer one question keeps us waiting for all of them.
            if _is_away(found[-1]):
                break
    return found


async def _check_token(sender: Sender, key: Key, *, clock: Clock) -> TokenFinding:
    found = TokenFinding(key)
    try:
        found.standing = await _ask_standing(sender, key, clock=clock)
        for room in found.standing.rooms:
            key.account.note_room(room)
        if key.token is not None:
            found.holder = await ask_holder(sender, key, clock=clock)
            join(sender.accounts, key, holder_id=found.holder.id)
    except Refused as refused:
        found.failure = refused.failure
        # Neither a limit nor a holder is told: that was no GitHub.
        if found.standing is not None and not found.standing.rooms:
            found.standing = None
    return found


async def _ask_standing(sender: Sender, key: Key, *, clock: Clock) -> rest.Standing:
    read = partial(rest.read_standing, now=clock())
    try:
        return await sender.ask_as(key, sender.get("/rate_limit"), read)
    except Refused as refused:
        # An Enterprise Server need not limit anybody, and then has no such page.
        if refused.failure.kind is FailureKind.NOT_FOUND and key.token is not None:
            return rest.Standing(())
        raise


def _is_away(found: TokenFinding) -> bool:
    return found.failure is not None and found.failure.kind is FailureKind.UNREACHABLE


def _github(settings: Settings, tokens: Sequence[TokenFinding]) -> Finding:
    address = settings.github_api_url
    for one in tokens:
        if _is_away(one) and one.failure is not None:
            words = f"{address} can't be reached: {one.failure.message}"
            return Finding("GitHub", words, is_broken=True)
    if not any(one.standing or (one.failure and one.failure.kind in _REFUSALS) for one in tokens):
        return Finding("GitHub", f"{address} does not answer as GitHub does", is_broken=True)
    little = "" if settings.github_tokens else ", little without GITHUB_TOKENS"
    return Finding("GitHub", f"{address} answers{little}")


def _row(found: TokenFinding) -> tuple[str, ...]:
    name, holder = found.key.name, "not known"
    if found.key.token is None:
        name, holder = "none", "nobody's"
    elif found.holder is not None:
        holder = found.holder.login
    rooms = found.key.account.rooms
    return (name, holder, *(_left(rooms.get(one)) for one in (Resource.CORE, Resource.GRAPHQL)))


def _left(room: Room | None) -> str:
    if room is None:
        return "no limit told"
    if not room.limit:
        return "nothing"
    return f"{room.remaining:,} of {room.limit:,} until {room.reset_at:%H:%M}"


def _notes(found: TokenFinding, *, at: datetime) -> Iterator[str]:
    """Say what should be done about a token."""
    name = found.key.name
    if found.failure is not None and not _is_away(found):
        kind = found.failure.kind
        why = _REFUSALS.get(kind, f"could not be asked about ({found.failure.message or kind})")
        yield f"{'Failed' if found.is_broken else 'Warning'}: {name} {why}."
    if found.standing is None:
        return
    if found.standing.scopes:
        scopes = ", ".join(found.standing.scopes)
        yield f"Warning: {name} may do more than it needs ({scopes}): give it no scopes."
    ends = found.standing.expires_at
    if ends is not None and ends - at < _EXPIRY_WARNING:
        days = max(0, (ends - at).days)
        yield f"Warning: {name} expires in {days} days, on {ends:%Y-%m-%d}."
    for room in found.key.account.rooms.values():
        if not room.remaining and room.limit:
            yield f"Warning: {name} has nothing left ({room.resource}) until {room.reset_at:%H:%M}."


def _shared(tokens: Sequence[TokenFinding]) -> list[str]:
    """Say which tokens belong to one account, and so have one budget."""
    names: dict[str, list[str]] = {}
    for one in tokens:
        if one.holder is not None:
            names.setdefault(one.holder.login, []).append(one.key.name)
    return [
        f"Warning: {' and '.join(shared)} belong to one account, {login}, and share its budget."
        for login, shared in names.items()
        if len(shared) > 1
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns; what others have said can neither break a line nor steer a terminal."""
    rows = [list(map(escape_controls, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _wrapped(note: str) -> str:
    return textwrap.fill(
        escape_controls(note), _WIDTH, subsequent_indent="  ", break_on_hyphens=False
    )

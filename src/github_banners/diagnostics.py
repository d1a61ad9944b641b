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

from github_banners.database.embedded_status import find_embedded_conninfo
from github_banners.database.server_info import (
    ServerInfo,
    count_rows_ahead,
    fetch_server_info,
    try_writing,
)
from github_banners.errors import (
    BannersError,
    ConfigurationError,
    DatabaseUnavailable,
)
from github_banners.github import rest
from github_banners.github.credentials import Credential, assign_user, create_accounts
from github_banners.github.graphql import Viewer
from github_banners.github.protocol import Failure, FailureKind, RateLimit, Resource
from github_banners.github.sender import RequestFailed, Sender
from github_banners.github.token_owners import fetch_token_owner
from github_banners.github.transport import open_http
from github_banners.messaging import clients
from github_banners.messaging.events import TOPIC
from github_banners.messaging.signing import Signer
from github_banners.messaging.topics import fetch_partitions
from github_banners.models import Clock, Owner, Snapshot, Stats
from github_banners.options import BannerOptions
from github_banners.serving.server import open_listener, request_path
from github_banners.serving.terminal import escape_controls
from github_banners.settings import ServiceName, Settings
from github_banners.settings.addresses import to_netloc
from github_banners.storage.store import path_from_url

_WIDTH = 80
_EXPIRY_WARNING = timedelta(days=14)
_SERVICE_TIMEOUT = timedelta(seconds=5)
_MIN_FREE_MIB = 64
_PORT_TIMEOUT_SECONDS = 2.0
_PROBE = bytes(4096)
_REFUSALS = {
    FailureKind.BAD_TOKEN: "is refused: revoked, expired or mistyped",
    FailureKind.SUSPENDED: "is refused: its account is suspended",
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A part of the set-up in a few words; `is_broken` where it does not work."""

    component: str
    text: str
    is_broken: bool = False


@dataclass(slots=True)
class TokenCheckResult:
    """What GitHub says of a token; `failure` is why it does not say more."""

    credential: Credential
    status: rest.TokenInfo | None = None
    owner: Viewer | None = None
    failure: Failure | None = None

    @property
    def is_broken(self) -> bool:
        """Tell whether nothing can be asked with this token."""
        return self.status is None and self.failure is not None


@dataclass(frozen=True, slots=True)
class DiagnosticsReport:
    """All that was found, at one moment."""

    checks: Sequence[CheckResult]
    tokens: Sequence[TokenCheckResult]
    checked_at: datetime
    warnings: Sequence[str] = ()

    @property
    def is_healthy(self) -> bool:
        """Tell whether everything that is needed works."""
        are_broken = [one.is_broken for one in self.checks] + [one.is_broken for one in self.tokens]
        return not any(are_broken)

    def to_text(self) -> str:
        """Write it down for a person; notes in lines of 80 columns where names allow it."""
        lines = [*_align_columns([(one.component, one.text) for one in self.checks]), ""]
        if rows := [_token_row(one) for one in self.tokens if not one.is_broken]:
            head = ("token", "account", "left for REST", "left for GraphQL")
            lines += [*_align_columns([head, *rows]), ""]
        notes = [f"Warning: {warning}." for warning in self.warnings]
        notes += [note for one in self.tokens for note in _token_warnings(one, now=self.checked_at)]
        notes += _shared_account_warnings(self.tokens)
        lines += [*map(_wrap, notes), *[""] * bool(notes)]
        verdict = "Everything that is needed works." if self.is_healthy else "Not everything works."
        return "\n".join([*lines, f"{verdict} Times are UTC."])


async def run_checks(
    settings: Settings,
    *,
    set_variables: Sequence[str],
    warnings: Sequence[str] = (),
    database_dir: Path,
    banners_dir: Path,
    clock: Clock,
) -> DiagnosticsReport:
    """
    Ask everything that the service would ask.

    `chosen` names the variables that are set, `warnings` are sentences about them; the folders are
    those of the embedded database and of drawn banners where settings name no other.
    """
    words = f"fine; set: {', '.join(set_variables)}" if set_variables else "fine; none is set"
    parts = [
        CheckResult("settings", words),
        *(await _check_ports(settings)),
        await _check_database(settings, database_dir, clock=clock),
        *(await _check_services(settings, clock=clock)),
    ]
    if settings.storage_base_url is None:
        name = "BANNERS_STORAGE_URL" if settings.banners_storage_url else "DATA_DIR"
        folder = path_from_url(settings.banners_storage_url or banners_dir.as_uri())
        parts.append(_check_folder("banners", folder, name=name))
    tokens = await _check_tokens(settings, clock=clock)
    return DiagnosticsReport([*parts, _github_result(settings, tokens)], tokens, clock(), warnings)


async def _check_ports(settings: Settings) -> list[CheckResult]:
    """Listen for a moment where the service will, or find that it listens there already."""
    found = []
    ports = {"PORT": settings.port, "METRICS_PORT": settings.metrics_port}
    for name, port in ports.items():
        if not port:
            continue
        netloc = to_netloc(settings.host, port)
        try:
            open_listener(settings.host, port, name=name).close()
            found.append(CheckResult(name, f"{netloc} is free"))
        except ConfigurationError as error:
            if await _is_own_service(settings.host, port):
                found.append(CheckResult(name, f"{netloc} is used by a github-banners that runs"))
            else:
                found.append(CheckResult(name, str(error), is_broken=True))
    return found


async def _is_own_service(host: str, port: int) -> bool:
    """Return whether a service of ours answers on a port; METRICS_PORT has only its metrics."""
    try:
        async with asyncio.timeout(_PORT_TIMEOUT_SECONDS):
            health = await request_path(host, port, "/healthz")
            metrics = await request_path(host, port, "/metrics")
    except (OSError, TimeoutError):
        return False
    return b'"status":"alive"' in health or b"\nbanners_" in metrics


async def _check_database(settings: Settings, data_dir: Path, *, clock: Clock) -> CheckResult:
    place = f"at {settings.database_address}"
    try:
        conninfo = settings.conninfo
        if conninfo is None:
            place = f"embedded, in {data_dir}"
            conninfo = find_embedded_conninfo(data_dir)
        if conninfo is None:
            folder = _check_folder("database", data_dir)
            words = f"{place}: not running, `serve` starts it"
            return folder if folder.is_broken else CheckResult("database", words)
        condition = await fetch_server_info(conninfo)
        if condition.problem is None and not condition.needs_migration:
            await try_writing(conninfo, condition)
            rows_ahead = await count_rows_ahead(conninfo, condition, now=clock())
            return _describe_database(condition, place, rows_ahead=rows_ahead)
        return _describe_database(condition, place)
    except ConfigurationError as error:
        return CheckResult("database", f"does not work: {error}", is_broken=True)
    except DatabaseUnavailable as error:
        return CheckResult("database", f"{place}, does not answer: {error}", is_broken=True)


def _describe_database(
    server_info: ServerInfo, location: str, *, rows_ahead: int = 0
) -> CheckResult:
    text = f"PostgreSQL {server_info.version} {location}"
    if server_info.problem is not None:
        return CheckResult(
            "database", f"{text} can't be used: {server_info.problem}", is_broken=True
        )
    if server_info.needs_migration:
        state = "no tables yet" if server_info.revision is None else "older tables"
        return CheckResult(
            "database", f"{text}: {state}, `serve` and `migrate` bring them up to date"
        )
    text += ": tables up to date"
    if rows_ahead:
        text += f"; {rows_ahead:,} rows have times of a clock that was ahead, saves will mend them"
    return CheckResult("database", text)


def _check_folder(component: str, folder: Path, *, name: str = "DATA_DIR") -> CheckResult:
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
        return CheckResult(component, words, is_broken=True)
    words = f"kept in {folder}, {free_mib:,} MiB free"
    if free_mib < _MIN_FREE_MIB:
        return CheckResult(component, f"{words}: that is too little", is_broken=True)
    return CheckResult(component, words)


async def _check_services(settings: Settings, *, clock: Clock) -> list[CheckResult]:
    """Call, as the api does, every service that the settings name."""
    found = []
    signer = Signer(settings.signing_keys[0], service=ServiceName.API, clock=clock)
    async with clients.open_http(timeout=_SERVICE_TIMEOUT) as http:
        if url := settings.renderer_base_url:
            renderer = clients.RendererClient(http, base_url=url, signer=signer)
            drawing = renderer.draw(_example_snapshot(clock), BannerOptions())
            found.append(await _check_call("renderer", f"{url} draws", drawing))
        if url := settings.storage_base_url:
            storage = clients.StorageClient(http, base_url=url, signer=signer)
            found.append(await _check_call("storage", f"{url} can be read", storage.get("check")))
    if brokers := settings.kafka_brokers_addrs:
        words = f"{', '.join(brokers)} has {TOPIC}"
        found.append(await _check_call("Kafka", words, fetch_partitions(brokers, TOPIC)))
    return found


async def _check_call(component: str, success_text: str, call: Awaitable[object]) -> CheckResult:
    try:
        await call
    except BannersError as error:
        return CheckResult(component, f"does not work: {error}", is_broken=True)
    return CheckResult(component, success_text)


def _example_snapshot(clock: Clock) -> Snapshot:
    return Snapshot(Owner(0, "check", None, None), Stats(0, 0, 0, 0, 0, {}), clock())


async def _check_tokens(settings: Settings, *, clock: Clock) -> list[TokenCheckResult]:
    """Ask about every token, one after another; without any, about the address's own ration."""
    accounts = create_accounts(settings.github_tokens)
    keys = [key for account in accounts for key in account.credentials]
    found: list[TokenCheckResult] = []
    async with open_http(timeout=settings.request_timeout, api_url=settings.github_api_url) as http:
        sender = Sender(http, api_url=settings.github_api_url, accounts=accounts, clock=clock)
        for key in keys[:-1] or keys:
            found.append(await _check_token(sender, key, clock=clock))
            # Who does not answer one question keeps us waiting for all of them.
            if _is_unreachable(found[-1]):
                break
    return found


async def _check_token(sender: Sender, credential: Credential, *, clock: Clock) -> TokenCheckResult:
    found = TokenCheckResult(credential)
    try:
        found.status = await _fetch_token_status(sender, credential, clock=clock)
        for room in found.status.rate_limits:
            credential.account.update_rate_limit(room)
        if credential.token is not None:
            found.owner = await fetch_token_owner(sender, credential, clock=clock)
            assign_user(sender.accounts, credential, user_id=found.owner.id)
    except RequestFailed as refused:
        found.failure = refused.failure
        # Neither a limit nor a holder is told: that was no GitHub.
        if found.status is not None and not found.status.rate_limits:
            found.status = None
    return found


async def _fetch_token_status(
    sender: Sender, credential: Credential, *, clock: Clock
) -> rest.TokenInfo:
    read = partial(rest.parse_token_info, now=clock())
    try:
        return await sender.send_as(credential, sender.rest_request("/rate_limit"), read)
    except RequestFailed as refused:
        # An Enterprise Server need not limit anybody, and then has no such page.
        if refused.failure.kind is FailureKind.NOT_FOUND and credential.token is not None:
            return rest.TokenInfo(())
        raise


def _is_unreachable(token: TokenCheckResult) -> bool:
    return token.failure is not None and token.failure.kind is FailureKind.UNREACHABLE


def _github_result(settings: Settings, tokens: Sequence[TokenCheckResult]) -> CheckResult:
    address = settings.github_api_url
    for one in tokens:
        if _is_unreachable(one) and one.failure is not None:
            words = f"{address} can't be reached: {one.failure.message}"
            return CheckResult("GitHub", words, is_broken=True)
    if not any(one.status or (one.failure and one.failure.kind in _REFUSALS) for one in tokens):
        return CheckResult("GitHub", f"{address} does not answer as GitHub does", is_broken=True)
    little = "" if settings.github_tokens else ", little without GITHUB_TOKENS"
    return CheckResult("GitHub", f"{address} answers{little}")


def _token_row(token: TokenCheckResult) -> tuple[str, ...]:
    name, holder = token.credential.name, "not known"
    if token.credential.token is None:
        name, holder = "none", "nobody's"
    elif token.owner is not None:
        holder = token.owner.login
    rooms = token.credential.account.rate_limits
    return (
        name,
        holder,
        *(_format_remaining(rooms.get(one)) for one in (Resource.CORE, Resource.GRAPHQL)),
    )


def _format_remaining(rate_limit: RateLimit | None) -> str:
    if rate_limit is None:
        return "no limit told"
    if not rate_limit.limit:
        return "nothing"
    return f"{rate_limit.remaining:,} of {rate_limit.limit:,} until {rate_limit.reset_at:%H:%M}"


def _token_warnings(token: TokenCheckResult, *, now: datetime) -> Iterator[str]:
    """Say what should be done about a token."""
    name = token.credential.name
    if token.failure is not None and not _is_unreachable(token):
        kind = token.failure.kind
        why = _REFUSALS.get(kind, f"could not be asked about ({token.failure.message or kind})")
        yield f"{'Failed' if token.is_broken else 'Warning'}: {name} {why}."
    if token.status is None:
        return
    if token.status.scopes:
        scopes = ", ".join(token.status.scopes)
        yield f"Warning: {name} may do more than it needs ({scopes}): give it no scopes."
    ends = token.status.expires_at
    if ends is not None and ends - now < _EXPIRY_WARNING:
        days = max(0, (ends - now).days)
        yield f"Warning: {name} expires in {days} days, on {ends:%Y-%m-%d}."
    for room in token.credential.account.rate_limits.values():
        if not room.remaining and room.limit:
            yield f"Warning: {name} has nothing left ({room.resource}) until {room.reset_at:%H:%M}."


def _shared_account_warnings(tokens: Sequence[TokenCheckResult]) -> list[str]:
    """Say which tokens belong to one account, and so have one budget."""
    names: dict[str, list[str]] = {}
    for one in tokens:
        if one.owner is not None:
            names.setdefault(one.owner.login, []).append(one.credential.name)
    return [
        f"Warning: {' and '.join(shared)} belong to one account, {login}, and share its budget."
        for login, shared in names.items()
        if len(shared) > 1
    ]


def _align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns; what others have said can neither break a line nor steer a terminal."""
    rows = [list(map(escape_controls, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _wrap(text: str) -> str:
    return textwrap.fill(
        escape_controls(text), _WIDTH, subsequent_indent="  ", break_on_hyphens=False
    )

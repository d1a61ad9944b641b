"""
Check the whole installation: settings, ports, database, storage, services, GitHub and its tokens.

The checks do what the service does and undo it: listen on the ports, write and remove a file, insert
a row and roll back. Nothing is started. Of a token only the beginning of its SHA-256 is shown.
"""

import asyncio
import os
import platform
import shutil
import tempfile
import textwrap
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from github_banners import __version__
from github_banners.database import server_info as database_info
from github_banners.database.embedded import find_embedded_conninfo
from github_banners.database.refresh_costs import RefreshCosts, fetch_refresh_costs
from github_banners.diagnostics.costs import cost_warnings, describe_costs
from github_banners.diagnostics.tokens import (
    TokenCheckResult,
    check_tokens,
    token_rows,
    token_warnings,
)
from github_banners.errors import BannersError, ConfigurationError, DatabaseUnavailable
from github_banners.messaging import clients
from github_banners.messaging.events import TOPIC
from github_banners.messaging.signing import Signer
from github_banners.messaging.topics import fetch_partitions
from github_banners.models import Clock, Owner, Snapshot, Stats
from github_banners.options import BannerOptions
from github_banners.serving.server import open_listener, request_path
from github_banners.serving.telemetry import start_tracing
from github_banners.serving.terminal import escape_controls
from github_banners.settings import ServiceName, Settings, StorageBucket
from github_banners.settings.addresses import to_netloc
from github_banners.settings.bucket_access import has_bucket_access
from github_banners.storage.open_store import open_bucket

_WIDTH = 80
_SERVICE_TIMEOUT = timedelta(seconds=5)
_MIN_FREE_MIB = 64
_PORT_TIMEOUT_SECONDS = 2.0
_PROBE = bytes(4096)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check, in a few words."""

    component: str
    text: str
    is_broken: bool = False


@dataclass(frozen=True, slots=True)
class DiagnosticsReport:
    """The results of all checks."""

    checks: Sequence[CheckResult]
    tokens: Sequence[TokenCheckResult]
    checked_at: datetime
    warnings: Sequence[str] = ()

    @property
    def is_healthy(self) -> bool:
        """True if everything that is needed works."""
        broken = [check.is_broken for check in self.checks]
        broken += [token.is_broken for token in self.tokens]
        return not any(broken)

    def to_text(self) -> str:
        """Format the report as text: aligned columns, then warnings wrapped at 80 columns."""
        lines = [*_align_columns([(check.component, check.text) for check in self.checks]), ""]
        if rows := token_rows(self.tokens):
            lines += [*_align_columns(rows), ""]
        warnings = [f"Warning: {warning}." for warning in self.warnings]
        warnings += token_warnings(self.tokens, now=self.checked_at)
        lines += [*map(_wrap, warnings), *[""] * bool(warnings)]
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
    Run all checks.

    `set_variables` are the names of variables that are set, `warnings` are sentences about them. The
    folders are the defaults of the embedded database and of the storage.
    """
    text = f"fine; set: {', '.join(set_variables)}" if set_variables else "fine; none is set"
    ports = await check_ports(settings)
    database, costs = await check_database(settings, database_dir, clock=clock)
    checks = [
        CheckResult("version", _describe_version()),
        CheckResult("settings", text),
        *_describe_served_users(settings),
        *check_traces(settings),
        *ports,
        database,
        *(await _check_services(settings, clock=clock)),
    ]
    is_bucket = isinstance(settings.banners_storage_url, StorageBucket)
    if settings.storage_base_url is None or (is_bucket and has_bucket_access(os.environ)):
        checks.append(await _check_banners(settings, banners_dir))
    tokens = await check_tokens(settings, clock=clock)
    checks.append(github_result(settings, tokens))
    if costs is not None:
        checks.append(CheckResult("refreshes", describe_costs(costs, tokens)))
        warnings = [*warnings, *cost_warnings(costs, tokens)]
    return DiagnosticsReport(checks, tokens, clock(), warnings)


def _describe_version() -> str:
    """Name what a bug report must name: the versions, the operating system and the processor."""
    python, system = platform.python_version(), f"{platform.system()} {platform.machine()}"
    return f"github-banners {__version__}, Python {python}, {system}"


def _describe_served_users(settings: Settings) -> list[CheckResult]:
    """Count the logins in the lists of served users; empty if all users are served."""
    lists = {
        "allowed": (settings.allowed_users, settings.allowed_users_file),
        "denied": (settings.denied_users, settings.denied_users_file),
    }
    counts = []
    for name, (logins, file) in lists.items():
        if logins or file is not None:
            count = len({login.lower() for login in logins})
            source = f" in {file}" if file is not None else ""
            counts.append(f"{count:,} {name}{source}")
    return [CheckResult("users", ", ".join(counts))] if counts else []


def check_traces(settings: Settings) -> list[CheckResult]:
    """Check that traces can be recorded; empty if there is no collector. Nothing is sent to it."""
    collector = settings.otel_exporter_otlp_endpoint
    if collector is None:
        return []
    try:
        with ExitStack() as stack:
            start_tracing(settings, service=ServiceName.ALL_IN_ONE, stack=stack)
    except ConfigurationError as error:
        return [CheckResult("traces", f"not recorded: {error}", is_broken=True)]
    text = f"sent to {collector}" if settings.records_traces else "turned off"
    return [CheckResult("traces", text)]


async def check_ports(settings: Settings) -> list[CheckResult]:
    """Check that each port is free, or that a running service of ours uses it."""
    results = []
    ports = {"PORT": settings.port, "METRICS_PORT": settings.metrics_port}
    for name, port in ports.items():
        if not port:
            continue
        netloc = to_netloc(settings.host, port)
        try:
            open_listener(settings.host, port, name=name).close()
            results.append(CheckResult(name, f"{netloc} is free"))
        except ConfigurationError as error:
            if await _is_own_service(settings.host, port):
                results.append(CheckResult(name, f"{netloc} is used by a running github-banners"))
            else:
                results.append(CheckResult(name, str(error), is_broken=True))
    return results


async def _is_own_service(host: str, port: int) -> bool:
    """Return True if a github-banners service responds on a port; METRICS_PORT has only `/metrics`."""
    try:
        async with asyncio.timeout(_PORT_TIMEOUT_SECONDS):
            health = await request_path(host, port, "/healthz")
            metrics = await request_path(host, port, "/metrics")
    except (OSError, TimeoutError):
        return False
    return b'"status":"alive"' in health or b"\nbanners_" in metrics


async def check_database(
    settings: Settings, data_dir: Path, *, clock: Clock
) -> tuple[CheckResult, RefreshCosts | None]:
    """Check the database; also return what the refreshes of its banners cost, if it has the tables."""
    location = f"at {settings.database_address}"
    try:
        conninfo = settings.conninfo
        if conninfo is None:
            location = f"embedded, in {data_dir}"
            conninfo = find_embedded_conninfo(data_dir)
        if conninfo is None:
            folder_result = check_folder("database", data_dir)
            if folder_result.is_broken:
                return folder_result, None
            return CheckResult("database", f"{location}: not running, `serve` starts it"), None
        server_info = await database_info.fetch_server_info(conninfo)
        if server_info.problem is not None or server_info.needs_migration:
            return describe_database(server_info, location), None
        await database_info.try_writing(conninfo, server_info)
        rows_ahead = await database_info.count_rows_ahead(conninfo, server_info, now=clock())
        costs = None
        # They are for information: a database that is too slow for them can be used.
        with suppress(DatabaseUnavailable):
            costs = await fetch_refresh_costs(conninfo, schema=server_info.schema, now=clock())
        return describe_database(server_info, location, rows_ahead=rows_ahead), costs
    except ConfigurationError as error:
        return CheckResult("database", f"does not work: {error}", is_broken=True), None
    except DatabaseUnavailable as error:
        text = f"{location}, can't be used: {error}"
        return CheckResult("database", text, is_broken=True), None


def describe_database(
    server_info: database_info.ServerInfo, location: str, *, rows_ahead: int = 0
) -> CheckResult:
    """Describe a reachable database; it is broken if the services can't use it."""
    text = f"PostgreSQL {server_info.version} {location}"
    if server_info.problem is not None:
        return CheckResult(
            "database", f"{text} can't be used: {server_info.problem}", is_broken=True
        )
    if server_info.needs_migration:
        state = "no tables yet" if server_info.revision is None else "older tables"
        return CheckResult(
            "database", f"{text}: {state}, `serve` and `migrate` create or update them"
        )
    text += ": tables up to date"
    if rows_ahead:
        text += f"; {rows_ahead:,} rows have times in the future, which the next saves correct"
    return CheckResult("database", text)


async def _check_banners(settings: Settings, banners_dir: Path) -> CheckResult:
    """Check that drawn banners can be stored, in a folder or in a bucket."""
    location = settings.banners_storage_url
    if location is None:
        return check_folder("banners", banners_dir)
    if not isinstance(location, StorageBucket):
        return check_folder("banners", location, name="BANNERS_STORAGE_URL")
    try:
        await open_bucket(location, settings).check()
    except BannersError as error:
        return CheckResult("banners", f"{location} does not work: {error}", is_broken=True)
    return CheckResult("banners", f"stored in {location}, which can be written")


def check_folder(component: str, folder: Path, *, name: str = "DATA_DIR") -> CheckResult:
    """
    Check that a folder, or the nearest existing parent, is writable and has free space.

    `name` is the variable that sets the folder.
    """
    ancestors = (folder, *folder.parents)
    try:
        existing = next(path for path in ancestors if path.exists() or path.is_symlink())
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".github-banners-check-") as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
        free_mib = shutil.disk_usage(existing).free >> 20
    except OSError as error:
        text = f"{folder} can't be used: {error.strerror}: set {name} to a writable folder"
        return CheckResult(component, text, is_broken=True)
    text = f"stored in {folder}, {free_mib:,} MiB free"
    if free_mib < _MIN_FREE_MIB:
        return CheckResult(component, f"{text}: that is too little", is_broken=True)
    return CheckResult(component, text)


async def _check_services(settings: Settings, *, clock: Clock) -> list[CheckResult]:
    """Call every configured service as the api does."""
    results = []
    signer = Signer(settings.signing_keys[0], service=ServiceName.API, clock=clock)
    async with clients.open_service_http(timeout=_SERVICE_TIMEOUT) as http:
        if url := settings.renderer_base_url:
            renderer = clients.RendererClient(http, base_url=url, signer=signer)
            rendering = renderer.draw(_example_snapshot(clock), BannerOptions())
            results.append(await _check_call("renderer", f"{url} renders", rendering))
        if url := settings.storage_base_url:
            storage = clients.StorageClient(http, base_url=url, signer=signer)
            reading = storage.get("check")
            results.append(await _check_call("storage", f"{url} can be read", reading))
    if brokers := settings.kafka_brokers_addrs:
        text = f"{', '.join(brokers)} has {TOPIC}"
        results.append(await _check_call("Kafka", text, fetch_partitions(brokers, TOPIC)))
    return results


async def _check_call(component: str, success_text: str, call: Awaitable[object]) -> CheckResult:
    try:
        await call
    except BannersError as error:
        return CheckResult(component, f"does not work: {error}", is_broken=True)
    return CheckResult(component, success_text)


def _example_snapshot(clock: Clock) -> Snapshot:
    return Snapshot(Owner(0, "check", None, None), Stats(0, 0, 0, 0, 0, {}), clock())


def github_result(settings: Settings, tokens: Sequence[TokenCheckResult]) -> CheckResult:
    """Return whether GitHub responded when the tokens were checked."""
    url = settings.github_api_url
    for token in tokens:
        if token.failure is not None and token.is_unreachable:
            text = f"{url} can't be reached: {token.failure.message}"
            return CheckResult("GitHub", text, is_broken=True)
    if not any(token.status or token.is_refused for token in tokens):
        return CheckResult("GitHub", f"{url} does not respond as GitHub does", is_broken=True)
    limit_note = "" if settings.github_tokens else ", with a low rate limit without GITHUB_TOKENS"
    return CheckResult("GitHub", f"{url} responds{limit_note}")


def _align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows in columns; control characters in texts of other servers are escaped."""
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

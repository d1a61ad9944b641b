"""The commands `render`, `render-list`, `check` and `sandbox`, which need no running service."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from github_banners.cli.banner_list import render_list
from github_banners.cli.banner_options import (
    add_banner_options,
    format_github_error,
    format_input_error,
    to_raw_options,
)
from github_banners.cli.base import (
    app,
    default_banners_dir,
    exit_with,
    find_data_dir,
    import_sandbox,
    read_settings,
    require_unix,
    service_process,
    start_logs,
)
from github_banners.errors import ConfigurationError, InvalidInput, NotFound, Unavailable
from github_banners.options import BannerOptions, parse_login, parse_options
from github_banners.settings import VARIABLES, ListenHost, ServiceName, Settings, find_warnings
from github_banners.settings.addresses import find_listen_address, to_netloc
from github_banners.settings.environment import SYNONYMS, is_set


@app.command(short_help="Draw one banner without a database.")
@add_banner_options
def render(
    user: Annotated[str, typer.Argument(metavar="USER", help="A GitHub login.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            allow_dash=True,
            help="Write to this file, as PNG if its name ends in .png.",
        ),
    ] = None,
    **options: str | list[str] | None,
) -> None:
    """
    Fetch a user from GitHub, draw one banner as SVG and write it to standard output.

    The options are those of the HTTP API. It needs no database and stores nothing; GITHUB_TOKENS,
    GITHUB_API_URL and REQUEST_TIMEOUT apply as for `serve`. Exit codes: 1 if GitHub does not have
    the user or what the banner shows, or does not answer; 2 if an option is invalid.
    """
    from github_banners import render_once
    from github_banners.serving.event_loop import run

    settings = read_settings(errors_only=True, drawing_only=True)
    try:
        login = parse_login(user, field="USER")
        banner_options = parse_options(to_raw_options(options))
    except InvalidInput as error:
        exit_with(format_input_error(error))
    output = None if output == Path("-") else output
    if output is not None:
        render_once.ensure_writable(output)
    try:
        svg = run(_draw(settings, login, banner_options))
    except (NotFound, Unavailable) as error:
        exit_with(format_github_error(error, login, settings), code=1)
    if output is None:
        sys.stdout.buffer.write(svg)
    else:
        render_once.write_atomically(output, render_once.encode_for_path(output, svg))
        typer.echo(f"Wrote {output}.", err=True)


async def _draw(settings: Settings, login: str, options: BannerOptions) -> bytes:
    from github_banners.render_once import render_banner
    from github_banners.serving.progress import show_progress

    message = f"Fetching {login} from GitHub"
    if not sys.stderr.isatty():
        typer.echo(f"{message}.", err=True)
        return await render_banner(settings, login, options)
    async with show_progress(lambda seconds: f"{message} … {seconds:.1f} s", stream=sys.stderr):
        return await render_banner(settings, login, options)


app.command("render-list", short_help="Draw several banners into a folder.")(render_list)


@app.command(short_help="Check settings, database and tokens.")
def check() -> None:
    """
    Check settings, ports, folders, database, services and tokens before serving.

    Starts no service and leaves no data. Reports every invalid setting, for each token its owner and
    remaining rate limit, and what refreshing the banners costs of it. Checks the configuration of `api`
    if RENDERER_BASE_URL is set, that of `renderer` if KAFKA_BROKERS_ADDRS and STORAGE_BASE_URL are,
    else that of `serve`. Exit codes: 0 if everything required works, 1 if a check fails, 2 if settings
    are invalid.
    """
    require_unix()
    from github_banners.diagnostics import run_checks
    from github_banners.models import utc_now
    from github_banners.serving.event_loop import run
    from github_banners.serving.logs import Redactor

    service = _checked_service()
    settings = read_settings(errors_only=True, service=service)
    warnings = find_warnings(os.environ, settings, service=service)
    address, warning = find_listen_address(settings.host)
    settings = msgspec.structs.replace(settings, host=ListenHost(address))
    names = [*VARIABLES, *SYNONYMS.values()]
    data_dir = find_data_dir(settings)
    report = run(
        run_checks(
            settings,
            set_variables=[name for name in names if is_set(os.environ, name)],
            warnings=[*warnings, *([warning] if warning else [])],
            database_dir=data_dir / "postgresql",
            banners_dir=default_banners_dir(data_dir),
            clock=utc_now,
        )
    )
    typer.echo(Redactor(settings.secrets).redact_text(report.to_text()))
    sys.exit(0 if report.is_healthy else 1)


def _checked_service() -> ServiceName:
    """Return the service that the environment variables configure."""
    if is_set(os.environ, "RENDERER_BASE_URL"):
        return ServiceName.API
    if is_set(os.environ, "KAFKA_BROKERS_ADDRS") and is_set(os.environ, "STORAGE_BASE_URL"):
        return ServiceName.RENDERER
    return ServiceName.ALL_IN_ONE


@app.command(short_help="Run a fake GitHub API with generated users.")
def sandbox(
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", help="Port to listen on; 0 takes a free one.")
    ] = 8090,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Seed of the generated users.")] = 1,
    recordings: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Recorded GitHub responses to serve as well."),
    ] = None,
    latency: Annotated[
        str, typer.Option(metavar="DURATION", help="Delay of every response.")
    ] = "0ms",
    fail: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Kinds of failure, in turn: 502, 503, timeout, drop, html, 401, …"
        ),
    ] = "",
    fail_rate: Annotated[
        float,
        typer.Option(min=0, max=1, metavar="RATE", help="Fraction of requests that fail."),
    ] = 1.0,
    token: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOKEN=ACCOUNT",
            help="A token and its account id, empty for a revoked token; repeatable.",
        ),
    ] = None,
    initial_budget: Annotated[
        int | None,
        typer.Option(metavar="POINTS", help="Rate limit points each account starts with."),
    ] = None,
) -> None:
    """
    Run a fake GitHub API with generated users: REST, GraphQL, rate limits, faults on demand.

    Set GITHUB_API_URL to its address for `serve`, `render` and `check`. Runs until Ctrl-C.
    """
    require_unix()
    from github_banners.serving.event_loop import run
    from github_banners.serving.server import open_listener

    address, warning = find_listen_address(host)
    if warning is not None:
        raise typer.BadParameter(f"an address such as 127.0.0.1, not {host!r}", param_hint="--host")
    start_logs(Settings.from_environment(_logging_only()))
    package = import_sandbox()
    try:
        github = package.create_app(
            seed=seed,
            recordings=recordings,
            latency_seconds=_parse_seconds(latency, option="--latency"),
            failures=_parse_failures(fail),
            fail_rate=fail_rate,
            tokens=dict(_parse_token(text) for text in token or []) or None,
            initial_budget=initial_budget,
        )
    except package.RecordingsError as error:
        raise ConfigurationError(str(error)) from error
    listener = open_listener(address, port)
    with service_process():
        run(_serve_sandbox(github, address, listener))


async def _serve_sandbox(github: Any, host: str, listener: socket.socket) -> None:
    from github_banners.serving.server import port_number, serve_app, wait_for_shutdown

    async with serve_app(github, listener) as server:
        typer.echo(f"Fake GitHub API: http://{to_netloc(host, port_number(listener))}")
        await wait_for_shutdown(server)


def _logging_only() -> dict[str, str]:
    return {name: os.environ.get(name, "") for name in VARIABLES if name.startswith("LOG_")}


def _parse_seconds(text: str, *, option: str) -> float:
    import durationpy

    try:
        seconds: float = durationpy.from_str(text).total_seconds()
    except durationpy.DurationError:
        seconds = -1
    if not 0 <= seconds <= 60:
        raise typer.BadParameter("a duration such as 100ms or 2s", param_hint=option)
    return seconds


def _parse_failures(text: str) -> list[Any]:
    Failure = import_sandbox().Failure  # noqa: N806
    try:
        return [Failure(name.strip()) for name in text.split(",") if name.strip()]
    except ValueError:
        raise typer.BadParameter(
            f"one or more of {', '.join(Failure)}", param_hint="--fail"
        ) from None


def _parse_token(text: str) -> tuple[str, int | None]:
    token, _, account = text.partition("=")
    if token and account.isdecimal():
        return token, int(account)
    if token and not account:
        return token, None
    raise typer.BadParameter("TOKEN=ACCOUNT, a number", param_hint="--token")

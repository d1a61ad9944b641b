"""
The command: reads the settings, starts what is asked for, and says what went wrong.

Everything that is served writes its log to standard error and its address to standard output.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from github_banners.errors import (
    BannersError,
    DatabaseUnavailable,
    InvalidInput,
    InvalidSettings,
    Misconfigured,
    NotFound,
    Unavailable,
)
from github_banners.look import Look, parse_login, parse_look
from github_banners.settings import VARIABLES, LogLevel, Secret, Settings
from github_banners.welcome import welcome
from github_banners.wishes import advice, with_wishes

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""
    Live banners of a developer's GitHub work.

    Settings come from the environment; README lists them, `check` tries them.
    """,
)


def main() -> None:
    """Run one command; what is misconfigured ends it with code 2 and a sentence."""
    try:
        app()
    except InvalidSettings as error:
        _fail("These settings can't be used:", *(f"  {one}" for one in error.problems))
    except BannersError as error:
        _fail(str(error))


@app.command(short_help="Serve banners, everything in one.")
def serve(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Ask a built-in GitHub with invented users instead.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=64, metavar="NUMBER", help="How many processes answer.")
    ] = 1,
) -> None:
    """
    Serve banners, everything in one: says where they are, and goes on until Ctrl-C.

    Unless DB_HOST is set it brings a PostgreSQL of its own, whose files lie in DATA_DIR.
    """
    from github_banners.launch import Plan
    from github_banners.serving.run import claim_port

    settings = _read_settings()
    port = claim_port(settings.host, settings.port)
    data_dir = settings.data_dir or _default_data_dir()
    with _running_service(), _conninfo(settings, data_dir, demo=demo) as conninfo:
        plan = Plan(conninfo, str(data_dir / ("demo-files" if demo else "files")), port)
        _run(_serve(settings, plan, demo=demo, workers=workers))


async def _serve(settings: Settings, plan: Any, *, demo: bool, workers: int) -> None:
    from github_banners.launch import launched
    from github_banners.serving.run import until_stopped

    github = _sandbox().create_app() if demo else None
    samples = _sandbox().SAMPLE_USERS if demo else ()
    async with launched(settings, plan, workers=workers, github=github) as owned:
        typer.echo(welcome(settings, port=plan.port, samples=samples))
        await until_stopped(*owned)
        typer.echo("Stopping.", err=True)


@app.command(short_help="Draw one banner, without a database.")
@with_wishes
def render(
    user: Annotated[str, typer.Argument(metavar="USER", help="A login on GitHub.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            allow_dash=True,
            help="Write it to a file, once it is drawn.",
        ),
    ] = None,
    **wishes: str | None,
) -> None:
    """
    Draw one banner straight from GitHub, as SVG, to standard output.

    The options are those of a banner's address. No database is asked and nothing is kept;
    GITHUB_TOKENS, GITHUB_API_URL and REQUEST_TIMEOUT count as they do for `serve`. The exit code
    is 1 when there is no such user or no answer, 2 when an option can't be.
    """
    from github_banners import sketch

    settings = _read_settings(is_quiet=True)
    try:
        login = parse_login(user, field="USER")
        look = parse_look({name: one for name, one in wishes.items() if one is not None})
    except InvalidInput as error:
        _fail(advice(error))
    output = None if output == Path("-") else output
    if output is not None:
        sketch.ensure_writable(output)
    try:
        svg = asyncio.run(_draw(settings, login, look))
    except NotFound:
        _fail(f"GitHub knows no user and no organisation called {login}.", code=1)
    except Unavailable as error:
        _fail(f"GitHub at {settings.github_api_url} can't be asked now: {error}", code=1)
    if output is None:
        sys.stdout.buffer.write(svg)
    else:
        sketch.replace_file(output, svg)
        typer.echo(f"Wrote {output}.", err=True)


async def _draw(settings: Settings, login: str, look: Look) -> bytes:
    from github_banners.sketch import sketch, telling

    async with telling(f"Asking GitHub about {login}", stream=sys.stderr):
        return await sketch(settings, login, look)


@app.command(short_help="Try settings, database and tokens.")
def check() -> None:
    """
    Look whether everything works before it serves; starts and changes nothing.

    Names every setting that can't be used, asks the database and GitHub, and tells of each token
    whose it is and what it has left. The exit code is 0 when everything needed works, 1 when
    something does not answer as it should, 2 when settings are wrong.
    """
    from github_banners.checkup import check_up
    from github_banners.model import utc_now

    settings = _read_settings(is_quiet=True)
    chosen = [name for name in VARIABLES if os.environ.get(name) or os.environ.get(f"{name}_FILE")]
    data_dir = (settings.data_dir or _default_data_dir()) / "postgresql"
    checking = check_up(settings, chosen=chosen, data_dir=data_dir, clock=utc_now)
    found = asyncio.run(checking)
    typer.echo(found.to_text())
    sys.exit(0 if found.is_well else 1)


@app.command(hidden=True)
def worker() -> None:
    """Be one process of `serve --workers`; the plan comes on standard input, whose end is ours."""
    from github_banners.launch import Plan, work

    settings = _read_settings()
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    with _running_service():
        _run(work(settings, plan))


@app.command(short_help="Bring the tables of DB_HOST up to date.")
def migrate() -> None:
    """
    Bring the database of DB_HOST to the tables of this version.

    `serve` does so by itself when it starts; this is for whoever wants it done before.
    """
    from github_banners.database.migrations import migrate as bring_up_to_date

    settings = _read_settings()
    if settings.conninfo is None:
        raise Misconfigured("Set DB_HOST: `serve` migrates its own database by itself.")
    try:
        asyncio.run(bring_up_to_date(settings.conninfo))
    except DatabaseUnavailable as error:
        raise Misconfigured(
            f"PostgreSQL at {settings.db_host}:{settings.pgport} can't be asked: {error}"
        ) from error
    typer.echo("The database is up to date.")


@app.command(short_help="Be GitHub, with invented users.")
def sandbox(
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", help="Port to listen on; 0 takes a free one.")
    ] = 8090,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Which people to invent.")] = 1,
    recordings: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Recorded answers of GitHub to replay as well."),
    ] = None,
    latency: Annotated[
        str, typer.Option(metavar="DURATION", help="How long every answer waits.")
    ] = "0ms",
    fail: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="What goes wrong, in turn: 502, 503, timeout, drop, html, 401, …"
        ),
    ] = "",
    share: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Share of requests that fail.")
    ] = 1.0,
    token: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOKEN=ACCOUNT",
            help="A token and the number of its account, none for a revoked one; may be repeated.",
        ),
    ] = None,
    budget: Annotated[
        int | None, typer.Option(metavar="POINTS", help="What every account has left at first.")
    ] = None,
) -> None:
    """
    Be GitHub: invented users over REST and GraphQL, slow or broken as you wish.

    Let `serve`, `render` and `check` ask it with GITHUB_API_URL. Goes on until Ctrl-C.
    """
    from github_banners.serving.run import claim_port

    _configure_logs(Settings.from_environment(_logging_only()))
    github = _sandbox().create_app(
        seed=seed,
        recordings=recordings,
        latency_seconds=_seconds(latency, option="--latency"),
        failures=_failures(fail),
        failure_share=share,
        tokens=dict(_token(one) for one in token or []) or None,
        budget=budget,
    )
    port = claim_port(host, port)
    with _running_service():
        _run(_serve_sandbox(github, host=host, port=port))


async def _serve_sandbox(github: Any, *, host: str, port: int) -> None:
    from github_banners.serving.run import listening, until_stopped

    async with github.lifespan(), listening(github, host=host, port=port) as server:
        typer.echo(f"A GitHub to try things on: http://{host}:{port}")
        await until_stopped(server)


@contextmanager
def _running_service() -> Iterator[None]:
    """Own the terminal, and end the process when everything is closed."""
    from github_banners.serving.run import leave
    from github_banners.serving.terminal import own_terminal

    # Until a server listens for it, SIGTERM must unwind what is open, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with own_terminal():
        try:
            yield
        except KeyboardInterrupt:
            pass
        except BannersError as error:
            typer.echo(str(error), err=True)
            leave(2)
    leave(0)


@contextmanager
def _conninfo(settings: Settings, data_dir: Path, *, demo: bool) -> Iterator[str]:
    """Find the configured database, or run one of our own in DATA_DIR."""
    if settings.conninfo is not None:
        yield settings.conninfo
        return
    from github_banners.database.embedded import running

    folder = data_dir / ("demo" if demo else "postgresql")
    with running(folder, report=lambda text: typer.echo(text, err=True)) as conninfo:
        yield conninfo


def _default_data_dir() -> Path:
    """Choose a folder that lasts; root's own home is closed to the account PostgreSQL runs as."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/github-banners")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base).absolute() if base else Path.home() / ".local" / "share") / "github-banners"


def _read_settings(*, is_quiet: bool = False) -> Settings:
    """Read the environment; who says in one sentence what went wrong logs only when told to."""
    settings = Settings.from_environment(os.environ)
    is_silent = is_quiet and not os.environ.get("LOG_LEVEL")
    level = LogLevel.ERROR if is_silent else settings.log_level
    _configure_logs(msgspec.structs.replace(settings, log_level=level))
    return settings


def _configure_logs(settings: Settings) -> None:
    from github_banners.serving.logs import configure_logs

    secrets: list[Secret] = [*settings.github_tokens]
    if settings.postgres_password is not None:
        secrets.append(settings.postgres_password)
    configure_logs(level=settings.log_level, form=settings.log_format, secrets=secrets)


def _logging_only() -> dict[str, str]:
    return {name: os.environ.get(name, "") for name in VARIABLES if name.startswith("LOG_")}


def _sandbox() -> ModuleType:
    try:
        from github_banners import sandbox as room
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"{error.name} is not installed: pip install 'github-banners[sandbox]'"
        ) from error
    return room


def _seconds(given: str, *, option: str) -> float:
    import durationpy

    try:
        seconds: float = durationpy.from_str(given).total_seconds()
    except durationpy.DurationError:
        seconds = -1
    if not 0 <= seconds <= 60:
        raise typer.BadParameter("a duration such as 100ms or 2s", param_hint=option)
    return seconds


def _failures(given: str) -> list[Any]:
    Failure = _sandbox().Failure  # noqa: N806
    try:
        return [Failure(one.strip()) for one in given.split(",") if one.strip()]
    except ValueError:
        raise typer.BadParameter(
            f"one or more of {', '.join(Failure)}", param_hint="--fail"
        ) from None


def _token(given: str) -> tuple[str, int | None]:
    token, _, account = given.partition("=")
    if token and account.isdecimal():
        return token, int(account)
    if token and not account:
        return token, None
    raise typer.BadParameter("TOKEN=ACCOUNT, a number", param_hint="--token")


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run a service; a signal before it listens for signals itself ends it as quietly."""

    async def stoppable() -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel if task else loop.stop)
        await work

    with suppress(asyncio.CancelledError):
        asyncio.run(stoppable())


def _fail(*lines: str, code: int = 2) -> NoReturn:
    typer.echo("\n".join(lines), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()

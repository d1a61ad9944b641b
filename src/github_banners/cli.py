"""
The command: reads the settings, starts what is asked for, and says what went wrong.

Everything that is served writes its log to standard error and its address to standard output.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import msgspec
import typer

from github_banners.errors import BannersError, DatabaseUnavailable, InvalidSettings, Misconfigured
from github_banners.settings import VARIABLES, Secret, Settings, Url

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Live banners of a developer's GitHub work. Settings come from the environment.",
)


class Plan(msgspec.Struct, frozen=True):
    """What the parent of several processes has decided for them."""

    conninfo: str
    data_dir: str
    port: int
    github_api_url: str | None = None


def main() -> None:
    """Run one command; what is misconfigured ends it with code 2 and a sentence."""
    try:
        app()
    except InvalidSettings as error:
        _fail("These settings can't be used:", *(f"  {one}" for one in error.problems))
    except BannersError as error:
        _fail(str(error))


@app.command()
def serve(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Ask a built-in GitHub with invented users instead.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes answer.")] = 1,
) -> None:
    """Serve banners: everything in one, with a database of its own unless DB_HOST is set."""
    from github_banners.serving.run import claim_port

    settings = _read_settings()
    port = claim_port(settings.host, settings.port)
    data_dir = settings.data_dir or _default_data_dir()
    with _running_service(), _conninfo(settings, data_dir, demo=demo) as conninfo:
        plan = Plan(conninfo, str(data_dir / ("demo-files" if demo else "files")), port)
        _run(_serve(settings, plan, demo=demo, workers=workers))


@app.command(hidden=True)
def worker() -> None:
    """Be one process of `serve --workers`; the plan comes on standard input, whose end is ours."""
    settings = _read_settings()
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    with _running_service():
        _run(_work(settings, plan))


@app.command()
def migrate() -> None:
    """Bring the database of DB_HOST to the tables of this version."""
    from github_banners.database.migrations import migrate as bring_up_to_date

    settings = _read_settings()
    if settings.conninfo is None:
        raise Misconfigured("Set DB_HOST: `serve` migrates its own database by itself.")
    try:
        _run(bring_up_to_date(settings.conninfo))
    except DatabaseUnavailable as error:
        raise Misconfigured(
            f"PostgreSQL at {settings.db_host}:{settings.pgport} can't be asked: {error}"
        ) from error
    typer.echo("The database is up to date.")


@app.command()
def sandbox(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8090,
    seed: Annotated[int, typer.Option(help="Which people to invent.")] = 1,
    recordings: Annotated[
        Path | None, typer.Option(help="Directory of recorded answers to replay as well.")
    ] = None,
    latency: Annotated[str, typer.Option(help="How long every answer waits.")] = "0ms",
    fail: Annotated[
        str, typer.Option(help="What goes wrong: 502, 503, timeout, drop, half, html, 401, …")
    ] = "",
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of failing requests.")] = 1.0,
    token: Annotated[
        list[str] | None,
        typer.Option(help="TOKEN=ACCOUNT number it belongs to, or TOKEN= for a revoked one."),
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="What every account has left at first.")
    ] = None,
) -> None:
    """Be GitHub: invented users over REST and GraphQL, slow or broken as you wish."""
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


async def _serve(settings: Settings, plan: Plan, *, demo: bool, workers: int) -> None:
    from github_banners.serving.run import claim_port, listening, until_listening, until_stopped
    from github_banners.serving.workers import supervise

    async with AsyncExitStack() as stack:
        owned = []
        if demo:
            port = claim_port("127.0.0.1", 0)
            github = _sandbox().create_app()
            await stack.enter_async_context(github.lifespan())
            sandbox_server = listening(github, host="127.0.0.1", port=port)
            owned.append(await stack.enter_async_context(sandbox_server))
            plan = msgspec.structs.replace(plan, github_api_url=f"http://127.0.0.1:{port}")
        if workers == 1:
            owned += await stack.enter_async_context(_serving(settings, plan))
        else:
            supervising = supervise(["worker"], count=workers, first_line=msgspec.json.encode(plan))
            owned.append(await stack.enter_async_context(_owning(supervising)))
            await until_listening(settings.host, plan.port, *owned)
        typer.echo(_welcome(msgspec.structs.replace(settings, port=plan.port), demo=demo))
        await until_stopped(*owned)
        typer.echo("Stopping.", err=True)


async def _work(settings: Settings, plan: Plan) -> None:
    from github_banners.serving.run import until_stopped
    from github_banners.serving.workers import until_input_ends

    async with _serving(settings, plan) as owned, _owning(until_input_ends()) as parent:
        await until_stopped(*owned, stopping=parent)


@asynccontextmanager
async def _serving(settings: Settings, plan: Plan) -> AsyncIterator[list[asyncio.Task[None]]]:
    from github_banners.app import open_all_in_one
    from github_banners.serving.run import listening

    if plan.github_api_url is not None:
        settings = msgspec.structs.replace(settings, github_api_url=Url(plan.github_api_url))
    opened = open_all_in_one(settings, conninfo=plan.conninfo, data_dir=Path(plan.data_dir))
    async with (
        opened as service,
        listening(service.app, host=settings.host, port=plan.port) as server,
    ):
        yield [server, *service.tasks]


@asynccontextmanager
async def _owning(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _serve_sandbox(github: Any, *, host: str, port: int) -> None:
    from github_banners.serving.run import listening, until_stopped

    async with github.lifespan(), listening(github, host=host, port=port) as server:
        typer.echo(f"A GitHub to try things on: http://{host}:{port}")
        await until_stopped(server)


def _welcome(settings: Settings, *, demo: bool) -> str:
    base = settings.public_url or f"http://{_reachable(settings.host)}:{settings.port}"
    banner = f"{base}/banners/preview?username="
    example, hints = "torvalds", []
    if demo:
        example = "mia-maintains"
        hints = ["or with another name of this GitHub:", ""]
        hints += [f"  {login:<40} {about}" for login, about in _sandbox().SAMPLE_USERS]
    elif not settings.github_tokens:
        hints = ["Without GITHUB_TOKENS GitHub answers for about 30 new users an hour."]
    return "\n".join(
        [
            f"GitHub Banners is ready: {base}",
            "",
            "Open a banner:",
            "",
            f"  {banner}{example}&type=dark",
            "",
            *(*hints, "") * bool(hints),
            "Paste it into a README:",
            "",
            f"  ![GitHub stats]({banner}{example})",
            "",
            "Ctrl-C stops everything.",
        ]
    )


def _reachable(host: str) -> str:
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{name}]" if ":" in name else name


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
    return (Path(base) if base else Path.home() / ".local" / "share") / "github-banners"


def _read_settings() -> Settings:
    settings = Settings.from_environment(os.environ)
    _configure_logs(settings)
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
    asyncio.run(work)


def _fail(*lines: str) -> None:
    typer.echo("\n".join(lines), err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
